//! Libraries of functions: which there are, and what they register. Their code
//! runs in the interpreter.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::scripts::{Interpreter, ScriptFlags};
use super::server::Server;
use crate::command::ctx::CmdError;
use crate::rdb::{Encoder, LoadError, Reader, payload};
use crate::util::args;
use crate::util::clock::Clock;

/// How long the code of a library may run when it is loaded, and that of all
/// libraries of a payload. Redis lets those of a payload run for ever.
const LOAD_MAX: Duration = Duration::from_millis(500);
/// The same of one that was loaded before, and comes from a file. Redis lets
/// those run for ever.
const LOAD_FROM_FILE_MAX: Duration = Duration::from_secs(10);
/// The engine, as it is shown.
pub const ENGINE: &str = "LUA";
/// What a name is like.
pub const NAME_RULE: &str = "Library names can only contain letters, numbers, or underscores(_) \
                             and must be at least one character long";
/// Names up to this length are looked up without an allocation, bytes.
const NAME_INLINE_BYTES: usize = 64;

/// Whether this may be the name of a library or of a function.
pub fn is_name(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.iter().all(is_part)
}

/// A function as its library registers it.
#[derive(Debug)]
pub struct NewFunction {
    /// Its name.
    pub name: Vec<u8>,
    /// What it does, in the words of its author.
    pub description: Option<Vec<u8>>,
    /// What it declares.
    pub flags: ScriptFlags,
    /// Its code in the interpreter.
    pub reference: i32,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its source, first line included.
    pub code: Bytes,
    /// Its functions, as they were registered.
    pub functions: Vec<Arc<NewFunction>>,
}

impl Library {
    fn references(&self) -> impl Iterator<Item = i32> {
        self.functions.iter().map(|function| function.reference)
    }

    fn bytes(&self) -> usize {
        let of_function = |function: &Arc<NewFunction>| {
            let description = function.description.as_ref().map_or(0, Vec::capacity);
            size_of::<NewFunction>() + function.name.capacity() + description
        };
        self.code.len() + self.functions.iter().map(of_function).sum::<usize>()
    }
}

/// What is done about libraries that are there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestorePolicy {
    /// They are removed.
    Flush,
    /// They stay; two of one name are an error.
    Append,
    /// Those of the same names are replaced.
    Replace,
}

/// What a name calls.
#[derive(Debug)]
struct Called {
    function: Arc<NewFunction>,
    library: Arc<[u8]>,
}

/// The libraries, by name.
#[derive(Default, Debug)]
pub struct Functions {
    libraries: BTreeMap<Vec<u8>, Library>,
    /// Functions by their names in lower case. Redis: of several in one library
    /// that only differ in case, one is called.
    by_name: HashMap<Vec<u8>, Called, ahash::RandomState>,
    /// Bytes of libraries and functions.
    bytes: usize,
}

impl Functions {
    /// A function; the case of its name does not matter.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&NewFunction> {
        self.called(name).map(|called| &*called.function)
    }

    /// As [`Functions::get`], to be kept.
    #[inline]
    pub fn shared(&self, name: &[u8]) -> Option<Arc<NewFunction>> {
        self.called(name).map(|called| called.function.clone())
    }

    #[inline]
    fn called(&self, name: &[u8]) -> Option<&Called> {
        if self.by_name.is_empty() {
            return None;
        }
        let mut buffer = [0; NAME_INLINE_BYTES];
        match buffer.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                self.by_name.get(&*lower)
            }
            None => self.by_name.get(&name.to_ascii_lowercase()),
        }
    }

    /// The libraries, in the order of their names.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = (&[u8], &Library)> {
        self.libraries
            .iter()
            .map(|(name, library)| (&name[..], library))
    }

    /// Functions that can be called.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Functions that were registered.
    pub fn registered(&self) -> usize {
        let libraries = self.libraries.values();
        libraries.map(|library| library.functions.len()).sum()
    }

    /// Bytes of what is known of libraries and functions, their code included.
    pub fn memory_bytes(&self) -> usize {
        const ENTRY_BYTES: usize = size_of::<(Vec<u8>, Called)>();
        size_of::<Functions>() + self.by_name.capacity() * ENTRY_BYTES + self.bytes
    }

    /// The sources of all libraries.
    pub fn codes(&self) -> Vec<Bytes> {
        let libraries = self.libraries.values();
        libraries.map(|library| library.code.clone()).collect()
    }

    fn add(&mut self, name: Vec<u8>, library: Library) {
        let of: Arc<[u8]> = name.as_slice().into();
        for function in &library.functions {
            let key = function.name.to_ascii_lowercase();
            self.by_name.entry(key).or_insert_with(|| Called {
                function: function.clone(),
                library: of.clone(),
            });
        }
        self.bytes += name.len() + library.bytes();
        self.libraries.insert(name, library);
    }

    fn remove(&mut self, name: &[u8]) -> Option<Library> {
        let library = self.libraries.remove(name)?;
        for function in &library.functions {
            self.by_name.remove(&function.name.to_ascii_lowercase());
        }
        self.bytes -= name.len() + library.bytes();
        Some(library)
    }

    /// A function that would have the name of one whose library stays.
    fn collision<'a>(
        &self,
        library: &'a Library,
        goes: impl Fn(&[u8]) -> bool,
    ) -> Option<&'a [u8]> {
        let stays = |function: &&Arc<NewFunction>| {
            let called = self.called(&function.name);
            called.is_some_and(|called| !goes(&called.library))
        };
        let function = library.functions.iter().find(stays);
        function.map(|function| &function.name[..])
    }

    /// Compiles a library, runs its code, and adds what it registers.
    fn load(
        &mut self,
        interpreter: &mut dyn Interpreter,
        clock: &mut Clock,
        code: &[u8],
        (replace, limit): (bool, Duration),
    ) -> Result<Vec<u8>, CmdError> {
        let (name, chunk) = first_line(code)?;
        if !replace && self.libraries.contains_key(&name) {
            return Err(said(&[b"Library '", &name, b"' already exists"]));
        }
        let functions = interpreter.load_library(chunk, clock, limit)?;
        let library = Library {
            code: Bytes::copy_from_slice(code),
            functions: functions.into_iter().map(Arc::new).collect(),
        };
        let refused = if library.functions.is_empty() {
            Some(CmdError::err("No functions registered"))
        } else {
            let collision = self.collision(&library, |library| library == name);
            collision.map(function_exists)
        };
        if let Some(error) = refused {
            interpreter.forget_functions(&mut library.references());
            return Err(error);
        }
        if let Some(old) = self.remove(&name) {
            interpreter.forget_functions(&mut old.references());
        }
        self.add(name.clone(), library);
        Ok(name)
    }

    /// Takes over the libraries of another one, or none of them.
    fn join(
        &mut self,
        interpreter: &mut dyn Interpreter,
        new: Functions,
        policy: RestorePolicy,
    ) -> Result<(), CmdError> {
        let goes: Vec<&[u8]> = match policy {
            RestorePolicy::Flush => self.libraries.keys().map(|name| &name[..]).collect(),
            RestorePolicy::Append | RestorePolicy::Replace => {
                let names = new.libraries.keys().map(|name| &name[..]);
                names
                    .filter(|name| self.libraries.contains_key(*name))
                    .collect()
            }
        };
        let refused = match (policy, goes.first()) {
            (RestorePolicy::Flush, _) => None,
            (RestorePolicy::Append, Some(name)) => {
                Some(said(&[b"Library ", name, b" already exists"]))
            }
            _ => {
                let mut added = new.libraries.values();
                added
                    .find_map(|library| {
                        self.collision(library, |library| new.libraries.contains_key(library))
                    })
                    .map(function_exists)
            }
        };
        if let Some(error) = refused {
            new.forget(interpreter);
            return Err(error);
        }
        let goes: Vec<Vec<u8>> = goes.into_iter().map(<[u8]>::to_vec).collect();
        for old in goes.iter().filter_map(|name| self.remove(name)) {
            interpreter.forget_functions(&mut old.references());
        }
        for (name, library) in new.libraries {
            self.add(name, library);
        }
        Ok(())
    }

    fn forget(&self, interpreter: &mut dyn Interpreter) {
        let libraries = self.libraries.values();
        interpreter.forget_functions(&mut libraries.flat_map(Library::references));
    }
}

fn said(parts: &[&[u8]]) -> CmdError {
    CmdError::err(parts.concat())
}

fn function_exists(name: &[u8]) -> CmdError {
    said(&[b"Function ", name, b" already exists"])
}

/// The name that the first line of a library gives it (`#!lua name=…`), and the
/// code, whose lines are counted from there.
fn first_line(code: &[u8]) -> Result<(Vec<u8>, &[u8]), CmdError> {
    if !code.starts_with(b"#!") {
        return Err(CmdError::err("Missing library metadata"));
    }
    let invalid = || CmdError::err("Invalid library metadata");
    let end = memchr::memchr2(b'\n', 0, code).filter(|end| code[*end] == b'\n');
    let end = end.ok_or_else(invalid)?;
    let parts = args::split(&code[..end]).filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(invalid)?;
    const NAME: &[u8] = b"name=";
    let mut name = None;
    for part in &parts[1..] {
        let is_name = part.len() >= NAME.len() && part[..NAME.len()].eq_ignore_ascii_case(NAME);
        if !is_name {
            return Err(said(&[b"Invalid metadata value given: ", part]));
        }
        if name.is_some() {
            return Err(CmdError::err(
                "Invalid metadata value, name argument was given multiple times",
            ));
        }
        name = Some(part[NAME.len()..].to_vec());
    }
    let name = name.ok_or_else(|| CmdError::err("Library name was not given"))?;
    if !is_name(&name) {
        return Err(CmdError::err(NAME_RULE));
    }
    let engine = parts[0].get(2..).unwrap_or_default();
    if !engine.eq_ignore_ascii_case(ENGINE.as_bytes()) {
        return Err(said(&[b"Engine '", engine, b"' not found"]));
    }
    Ok((name, &code[end..]))
}

/// All libraries as a payload; long ones compressed if `compress`.
pub fn dump(functions: &Functions, compress: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new()).compressing(compress);
    let mut codes = functions.libraries.values().map(|library| &library.code);
    let written = codes.try_for_each(|code| encoder.function(code));
    written.expect("writing to memory cannot fail");
    let mut bytes = encoder.into_inner();
    payload::seal(&mut bytes);
    bytes
}

impl Server {
    /// The interpreter, and what it works on.
    fn libraries(
        &mut self,
    ) -> Result<(&mut Functions, &mut dyn Interpreter, &mut Clock), CmdError> {
        match self.scripts.interpreter.as_deref_mut() {
            Some(interpreter) => Ok((&mut self.functions, interpreter, &mut self.clock)),
            None => Err(CmdError::err(
                "Functions can't be changed while a script is running",
            )),
        }
    }

    /// Loads a library; gives its name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load_library(&mut self, code: &[u8], replace: bool) -> Result<Vec<u8>, CmdError> {
        let limit = if self.stats.persistence.loading {
            LOAD_FROM_FILE_MAX
        } else {
            LOAD_MAX
        };
        let (functions, interpreter, clock) = self.libraries()?;
        functions.load(interpreter, clock, code, (replace, limit))
    }

    /// Forgets a library; false when there is none of that name.
    ///
    /// # Errors
    /// A script runs.
    pub fn delete_library(&mut self, name: &[u8]) -> Result<bool, CmdError> {
        let (functions, interpreter, _) = self.libraries()?;
        let Some(library) = functions.remove(name) else {
            return Ok(false);
        };
        interpreter.forget_functions(&mut library.references());
        Ok(true)
    }

    /// Loads the libraries of a payload: all of them or none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn restore_libraries(
        &mut self,
        payload: &[u8],
        policy: RestorePolicy,
    ) -> Result<(), CmdError> {
        let Some(bytes) = payload::open(payload) else {
            return Err(CmdError::err("DUMP payload version or checksum are wrong"));
        };
        let (functions, interpreter, clock) = self.libraries()?;
        let mut new = Functions::default();
        let mut reader = Reader::new(bytes);
        let began_ns = clock.now_ns();
        while !reader.is_at_end() {
            let loaded = reader
                .function()
                .map_err(|error| match error {
                    LoadError::Unsupported(_) => CmdError::err("given type is not a function"),
                    _ => CmdError::err("Failed loading library payload"),
                })
                .and_then(|code| {
                    // All of them together have the time of one.
                    let elapsed = Duration::from_nanos(clock.now_ns() - began_ns);
                    let limit = LOAD_MAX.saturating_sub(elapsed);
                    new.load(interpreter, clock, &code, (false, limit))
                });
            if let Err(error) = loaded {
                new.forget(interpreter);
                return Err(error);
            }
        }
        functions.join(interpreter, new, policy)
    }

    /// Forgets all libraries.
    ///
    /// # Errors
    /// A script runs.
    pub fn flush_libraries(&mut self, in_background: bool) -> Result<(), CmdError> {
        let (functions, interpreter, _) = self.libraries()?;
        let count = functions.libraries.len() + functions.registered();
        let interpreted = interpreter.flush_functions();
        let old = std::mem::take(functions);
        if in_background {
            let trash = Box::new((interpreted, old));
            self.keyspace.lazyfree.other(trash, count as u64);
        }
        Ok(())
    }
}
