//! Start-up (interim).
#![allow(missing_docs)]
use super::cron::Cron;
use super::io::{Reactor, Shared};
use crate::command::registry::Registry;
use crate::config::Config;
use crate::engine::Server;

pub fn run(config: Config) -> std::io::Result<i32> {
    let registry = Registry::new(crate::commands::FAMILIES).map_err(std::io::Error::other)?;
    let threads = config.io_threads as usize;
    let listeners = super::listen::tcp(&config.bind, config.port, config.tcp_backlog as i32)
        .map_err(std::io::Error::other)?;
    let server = Server::new(config, registry, threads);
    let (shared, drivers) = Shared::new(server, threads)?;
    shared.set_listeners(listeners);
    let mut reactors = Vec::new();
    for (index, driver) in drivers.into_iter().enumerate() {
        let cron = (index == 0).then(Cron::default);
        reactors.push(Reactor::new(shared.clone(), index, driver, cron));
    }
    let mut reactors = reactors.into_iter();
    let first = reactors.next().ok_or(std::io::ErrorKind::InvalidInput)?;
    let others: Vec<_> = reactors
        .map(|reactor| std::thread::spawn(move || reactor.run()))
        .collect();
    let code = first.run()?;
    for other in others {
        let _ = other.join();
    }
    Ok(code)
}
