//! Compiled scripts, by their digests.

use std::cell::Cell;
use std::collections::HashMap;

use crate::engine::scripts::ScriptFlags;
use crate::util::relocate::Mover;

/// Scripts that came with EVAL and are kept.
const EVALS_MAX: usize = 500;

/// A digest in hexadecimal, in lower case.
pub type Sha = [u8; 40];

/// A compiled script.
pub struct Compiled {
    /// Its digest.
    pub sha: Sha,
    /// What it declares.
    pub flags: ScriptFlags,
    /// Its function in the registry of the state.
    pub function: i32,
    /// Its text. Redis: that is kept, too, and counted in `lua.caches`.
    pub body: Box<[u8]>,
    /// It came with SCRIPT LOAD: it is kept until SCRIPT FLUSH.
    pub loaded: bool,
    /// Number of the call that used it last.
    used: u64,
}

/// All that are kept.
#[derive(Default)]
pub struct Cache {
    scripts: Vec<Compiled>,
    /// Where they are in `scripts`.
    places: HashMap<Sha, usize, ahash::RandomState>,
    /// The place that was looked up last: a call is looked up when it is checked,
    /// and again when it runs.
    last: Cell<usize>,
    evals: usize,
    body_bytes: usize,
    calls: u64,
}

impl Cache {
    /// The place of a script, up to the next change; its digest may be in upper
    /// case.
    #[inline]
    pub fn find(&self, digest: &[u8]) -> Option<usize> {
        let last = self.last.get();
        match self.scripts.get(last) {
            Some(script) if script.sha == *digest => Some(last),
            _ => self.look_up(digest),
        }
    }

    fn look_up(&self, digest: &[u8]) -> Option<usize> {
        let mut sha: Sha = digest.try_into().ok()?;
        sha.make_ascii_lowercase();
        let place = *self.places.get(&sha)?;
        self.last.set(place);
        Some(place)
    }

    /// The script at a place.
    #[inline]
    pub fn at(&self, place: usize) -> &Compiled {
        &self.scripts[place]
    }

    /// The script at a place, which is called.
    #[inline]
    pub fn call(&mut self, place: usize) -> &Compiled {
        self.calls += 1;
        let script = &mut self.scripts[place];
        script.used = self.calls;
        script
    }

    /// Keeps the script at a place until all are forgotten.
    pub fn keep(&mut self, place: usize) {
        let script = &mut self.scripts[place];
        if !std::mem::replace(&mut script.loaded, true) {
            self.evals -= 1;
        }
    }

    /// Adds a script that is not there. Gives the one that is forgotten for it.
    pub fn add(
        &mut self,
        (sha, body): (Sha, &[u8]),
        (flags, function): (ScriptFlags, i32),
        loaded: bool,
    ) -> Option<Compiled> {
        self.places.insert(sha, self.scripts.len());
        self.scripts.push(Compiled {
            sha,
            flags,
            function,
            body: body.into(),
            loaded,
            used: self.calls,
        });
        self.body_bytes += body.len();
        self.evals += usize::from(!loaded);
        (self.evals > EVALS_MAX)
            .then(|| self.forget_oldest())
            .flatten()
    }

    /// Forgets the script of EVAL that has not been used for longest.
    fn forget_oldest(&mut self) -> Option<Compiled> {
        let scripts = self.scripts.iter().enumerate();
        let evals = scripts.filter(|(_, script)| !script.loaded);
        let (place, _) = evals.min_by_key(|(_, script)| script.used)?;
        let script = self.scripts.swap_remove(place);
        self.places.remove(&script.sha);
        if let Some(moved) = self.scripts.get(place) {
            self.places.insert(moved.sha, place);
        }
        self.evals -= 1;
        self.body_bytes -= script.body.len();
        Some(script)
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Memory of the scripts and the list of them, bytes.
    pub fn bytes(&self) -> usize {
        self.body_bytes
            + self.scripts.capacity() * size_of::<Compiled>()
            + self.places.capacity() * size_of::<(Sha, usize)>()
    }

    /// Gives the texts of up to `count` scripts to the mover, `from` having been
    /// gone through; whether there are more.
    pub fn relocate(&mut self, from: usize, count: usize, mover: &mut Mover) -> bool {
        let mut scripts = self.scripts.iter_mut().skip(from);
        let some = scripts.by_ref().take(count);
        some.for_each(|script| mover.slice(&mut script.body));
        scripts.next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(number: usize) -> Sha {
        format!("{number:040x}").into_bytes().try_into().unwrap()
    }

    fn add(cache: &mut Cache, number: usize, loaded: bool) -> Option<i32> {
        let declared = ScriptFlags::default();
        let forgotten = cache.add((sha(number), b"12345"), (declared, number as i32), loaded);
        forgotten.map(|script| script.function)
    }

    fn is_sound(cache: &Cache) {
        assert_eq!(cache.places.len(), cache.scripts.len());
        for (place, script) in cache.scripts.iter().enumerate() {
            assert_eq!(cache.find(&script.sha), Some(place));
            assert_eq!(cache.find(&script.sha.to_ascii_uppercase()), Some(place));
        }
        let evals = cache.scripts.iter().filter(|script| !script.loaded).count();
        assert_eq!((cache.evals, cache.body_bytes), (evals, cache.len() * 5));
    }

    #[test]
    fn the_script_that_was_not_used_for_longest_is_forgotten_and_no_loaded_one() {
        let mut cache = Cache::default();
        assert_eq!(cache.find(b""), None);
        for number in 0..EVALS_MAX {
            assert_eq!(add(&mut cache, number, false), None);
            cache.call(cache.find(&sha(number)).unwrap());
        }
        for number in 1000..1010 {
            assert_eq!(add(&mut cache, number, true), None);
        }
        is_sound(&cache);
        // The first is used again, the second kept for good, so the third goes.
        cache.call(cache.find(&sha(0)).unwrap());
        cache.keep(cache.find(&sha(1)).unwrap());
        cache.keep(cache.find(&sha(1)).unwrap());
        for (number, forgotten) in [(2000, None), (2001, Some(2)), (2002, Some(3))] {
            assert_eq!(add(&mut cache, number, false), forgotten);
            cache.call(cache.find(&sha(number)).unwrap());
            is_sound(&cache);
        }
        assert_eq!(cache.find(&sha(2)), None);
        assert_eq!(cache.len(), EVALS_MAX + 11);
    }
}
