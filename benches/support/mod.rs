//! What the benches share: servers under test, the load generator, figures from `/proc`, tables.
//!
//! Every bench is a crate of its own and uses a part of this, so unused items are allowed here.
#![allow(dead_code)]

pub mod load;
pub mod lockstep;
pub mod report;
pub mod request;
pub mod scan;
pub mod server;
pub mod usage;

/// Errors end the bench with a text; nothing here recovers from one.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Where the servers and the generator run, the same two options in every bench.
#[derive(clap::Args, Clone, Debug)]
pub struct Common {
    /// A server under test as NAME=PATH[:ARGUMENTS], repeatable; the first is the reference.
    /// Without it: redis=redis-server and the redstart that cargo built for this bench.
    #[arg(long = "server", value_name = "NAME=PATH[:ARGS]")]
    servers: Vec<server::ServerSpec>,
    /// Core the servers are pinned to, as `taskset -c` takes it.
    #[arg(long, default_value = "0", value_name = "LIST")]
    pub server_core: String,
    /// Core the generator is pinned to.
    #[arg(long, default_value_t = 1, value_name = "CORE")]
    pub generator_core: usize,
    /// Write the figures to this file as JSON too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<std::path::PathBuf>,
    /// Accepted because `cargo bench` always passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Common {
    /// The servers to compare, the reference first.
    pub fn servers(&self) -> Vec<server::ServerSpec> {
        if !self.servers.is_empty() {
            return self.servers.clone();
        }
        vec![
            server::ServerSpec::new("redis", "redis-server"),
            server::ServerSpec::new("redstart", env!("CARGO_BIN_EXE_redstart")),
        ]
    }

    /// Pins the calling thread and checks the reply scanner; every bench starts with it.
    pub fn prepare(&self) -> Result<()> {
        scan::self_check();
        usage::pin_to_core(self.generator_core)
    }
}

/// Per round one sample of every server, in the order of the servers. Who comes first in one
/// round comes last in the next; `turn` is one server's part of a round, told its number.
pub fn in_turns<S>(
    rounds: u32,
    specs: &[server::ServerSpec],
    mut turn: impl FnMut(&server::ServerSpec, u64) -> Result<S>,
) -> Result<Vec<Vec<S>>> {
    let mut all = Vec::new();
    for round in 0..rounds {
        let mut order: Vec<&server::ServerSpec> = specs.iter().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut samples = Vec::new();
        for spec in order {
            let sample =
                turn(spec, u64::from(round)).map_err(|error| format!("{}: {error}", spec.name))?;
            samples.push(sample);
        }
        if round % 2 == 1 {
            samples.reverse();
        }
        all.push(samples);
    }
    Ok(all)
}
