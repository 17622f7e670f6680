//! The `redstart` binary: a thin start of the library.

fn main() -> std::process::ExitCode {
    redstart::server::start::main(std::env::args_os().collect())
}
