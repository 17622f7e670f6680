//! The process title, as `ps` shows it.

use super::system::TitleArea;
use crate::config::Config;

/// The title of this process.
pub struct Title {
    area: Option<TitleArea>,
    name: Vec<u8>,
}

impl Title {
    /// Takes the memory of the title over, unless `set-proc-title` is off.
    /// `name` is what `{title}` stands for. To be called once, before threads.
    pub fn take(config: &Config, name: &[u8]) -> Title {
        let area = if config.set_proc_title {
            TitleArea::take()
        } else {
            None
        };
        Title {
            area,
            name: name.to_vec(),
        }
    }

    /// Shows the title that the configuration describes.
    pub fn show(&mut self, config: &Config) {
        if let Some(area) = &mut self.area {
            area.set(&config.proc_title(&self.name));
        }
    }
}
