//! The `redstart` binary: a thin start of the library.
fn main() {
    let mut config = redstart::config::Config::default();
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--port") {
        config.port = args[at + 1].parse().unwrap();
    }
    match redstart::server::start::run(config) {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1)
        }
    }
}
