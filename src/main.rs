//! The `redstart` binary: a thin start of the library.
use redstart::config::{Arguments, Config, Process};

fn main() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let dir = std::env::current_dir().unwrap_or_default();
    let sources = Arguments::parse(&args, &dir).sources(std::io::stdin());
    let sources = match sources {
        Ok(sources) => sources,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1)
        }
    };
    let config = match Config::load(&sources, &mut Process) {
        Ok(config) => config,
        Err(error) => {
            eprint!("{}", String::from_utf8_lossy(&error.report("7.0.15")));
            std::process::exit(1)
        }
    };
    match redstart::server::start::run(config) {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1)
        }
    }
}
