//! Life beside other processes: background, process id file, supervisors.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use super::system;
use crate::config::{Config, DEFAULT_PID_FILE, Supervised};

/// Who watches over the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Supervisor {
    /// Nobody.
    None,
    /// systemd: told on this socket.
    Systemd(std::ffi::OsString),
    /// upstart: told by SIGSTOP.
    Upstart,
}

/// What the environment must say for a supervisor.
pub struct Environment {
    /// `NOTIFY_SOCKET`.
    pub notify_socket: Option<std::ffi::OsString>,
    /// `UPSTART_JOB`.
    pub upstart_job: bool,
}

impl Environment {
    /// That of this process.
    pub fn read() -> Environment {
        Environment {
            notify_socket: std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
            upstart_job: std::env::var_os("UPSTART_JOB").is_some(),
        }
    }
}

impl Supervisor {
    /// The supervisor that `supervised` names, if the environment knows of it;
    /// what to log beside it.
    pub fn find(mode: Supervised, environment: &Environment) -> (Supervisor, Option<&'static str>) {
        let systemd = || match &environment.notify_socket {
            Some(socket) => (Supervisor::Systemd(socket.clone()), None),
            None => (
                Supervisor::None,
                Some("systemd supervision requested or auto-detected, but NOTIFY_SOCKET not found"),
            ),
        };
        let upstart = || {
            if environment.upstart_job {
                return (Supervisor::Upstart, None);
            }
            let text = "upstart supervision requested, but UPSTART_JOB not found";
            (Supervisor::None, Some(text))
        };
        match mode {
            Supervised::No => (Supervisor::None, None),
            Supervised::Systemd => systemd(),
            Supervised::Upstart => upstart(),
            Supervised::Auto if environment.upstart_job => upstart(),
            Supervised::Auto if environment.notify_socket.is_some() => systemd(),
            Supervised::Auto => (Supervisor::None, None),
        }
    }

    /// As the directive names it.
    pub fn mode(&self) -> Supervised {
        match self {
            Supervisor::None => Supervised::No,
            Supervisor::Systemd(_) => Supervised::Systemd,
            Supervisor::Upstart => Supervised::Upstart,
        }
    }

    /// Tells systemd something, line by line.
    pub fn tell(&self, state: &str) {
        if let Supervisor::Systemd(socket) = self
            && let Err(error) = notify(socket.as_bytes(), state)
        {
            tracing::warn!("Can't notify systemd: {error}");
        }
    }

    /// Says that the server is ready.
    pub fn ready(&self) {
        match self {
            Supervisor::None => {}
            Supervisor::Systemd(_) => {
                self.tell("STATUS=Ready to accept connections\n");
                self.tell("READY=1\n");
            }
            Supervisor::Upstart => {
                tracing::info!("supervised by upstart, will stop to signal readiness");
                super::log::flush();
                system::raise(libc::SIGSTOP);
            }
        }
    }
}

fn notify(socket: &[u8], state: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    match socket {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            sender.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?)?;
        }
        path => {
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            sender.send_to_addr(state.as_bytes(), &SocketAddr::from_pathname(path)?)?;
        }
    }
    Ok(())
}

/// The file that holds the process id, removed by [`PidFile::remove`].
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file that the configuration asks for, if it does. A server
    /// that cannot write it runs nevertheless.
    pub fn write(config: &Config, in_background: bool) -> Option<PidFile> {
        let path = match config.pidfile.as_slice() {
            [] if in_background => PathBuf::from(DEFAULT_PID_FILE),
            [] => return None,
            path => absolute(config, path),
        };
        let written = std::fs::File::create(&path)
            .and_then(|mut file| writeln!(file, "{}", std::process::id()));
        match written {
            Ok(()) => Some(PidFile(path)),
            Err(error) => {
                tracing::warn!("Can't write the pid file '{}': {error}", path.display());
                None
            }
        }
    }

    /// Removes it at the end.
    pub fn remove(&self) {
        tracing::info!("Removing the pid file.");
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!("Can't remove the pid file: {error}");
        }
    }
}

/// A path of the configuration, from the working directory as it was loaded:
/// CONFIG SET dir must not move files that are already there.
pub fn absolute(config: &Config, path: &[u8]) -> PathBuf {
    let dir = Path::new(std::ffi::OsStr::from_bytes(&config.dir));
    dir.join(Path::new(std::ffi::OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_finds_the_supervisor_that_is_there() {
        let find = |mode, socket: Option<&str>, upstart_job| {
            let notify_socket = socket.map(Into::into);
            let environment = Environment {
                notify_socket,
                upstart_job,
            };
            Supervisor::find(mode, &environment)
        };
        let systemd = Supervisor::Systemd("/s".into());
        assert_eq!(find(Supervised::Auto, Some("/s"), false), (systemd, None));
        assert_eq!(
            find(Supervised::Auto, Some("/s"), true).0,
            Supervisor::Upstart
        );
        assert_eq!(
            find(Supervised::Auto, None, false),
            (Supervisor::None, None)
        );
        assert!(find(Supervised::Systemd, None, true).1.is_some());
        assert_eq!(find(Supervised::No, Some("/s"), true).0, Supervisor::None);
    }
}
