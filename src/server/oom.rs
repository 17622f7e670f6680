//! The score by which the kernel picks processes to kill when memory ends.

use std::io;

use crate::config::{Config, OomScoreAdj};

const FILE: &str = "/proc/self/oom_score_adj";
/// Bounds of the kernel.
const SCORES: std::ops::RangeInclusive<i32> = -1000..=1000;

/// The score, adjusted or not.
#[derive(Default)]
pub struct OomScore {
    /// The score before we changed it, while it is changed.
    base: Option<i32>,
}

impl OomScore {
    /// Sets the score as the configuration says; a score that we have not
    /// changed is left alone by `no`.
    ///
    /// # Errors
    /// The text for CONFIG SET; the reason is in the log.
    pub fn apply(&mut self, config: &Config) -> Result<(), String> {
        let failed = |error: io::Error| {
            let reason = crate::config::os_error_text(&error);
            tracing::warn!("Unable to write oom_score_adj: {reason}");
            "Failed to set current oom_score_adj. Check server logs.".to_owned()
        };
        let base = match (self.base, config.oom_score_adj) {
            (None, OomScoreAdj::No) => return Ok(()),
            (Some(base), _) => base,
            (None, _) => read().map_err(failed)?,
        };
        self.base = Some(base);
        let score = score(base, config);
        if config.oom_score_adj == OomScoreAdj::No {
            self.base = None;
        }
        std::fs::write(FILE, score.to_string()).map_err(failed)
    }
}

fn read() -> io::Result<i32> {
    let text = std::fs::read_to_string(FILE)?;
    let number = text.trim().parse();
    number.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a number"))
}

/// The score of a master.
fn score(base: i32, config: &Config) -> i32 {
    let wanted = config.oom_score_adj_values[0];
    match config.oom_score_adj {
        OomScoreAdj::No => base,
        OomScoreAdj::Relative => base
            .saturating_add(wanted)
            .clamp(*SCORES.start(), *SCORES.end()),
        OomScoreAdj::Absolute => wanted.clamp(*SCORES.start(), *SCORES.end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stay_within_the_kernels_bounds() {
        let mut config = Config {
            oom_score_adj_values: [900, 0, 0],
            ..Config::default()
        };
        let mut check = |mode, expected| {
            config.oom_score_adj = mode;
            assert_eq!(score(200, &config), expected);
        };
        check(OomScoreAdj::No, 200);
        check(OomScoreAdj::Relative, 1000);
        check(OomScoreAdj::Absolute, 900);
    }
}
