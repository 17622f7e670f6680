//! What the clients' buffers take. Looking at all clients at once would stall
//! a server that has many, so cron adds them up in slices.

/// Seconds that the largest buffers are remembered.
const PEAK_SECONDS: usize = 8;

/// Classes of clients: normal, replica, pubsub.
const KINDS: usize = 3;

/// Buffers of one client, bytes.
#[derive(Clone, Copy, Debug)]
pub struct ClientBuffers {
    /// All that the client costs.
    pub total: usize,
    /// Requests received and not executed.
    pub input: usize,
    /// Replies not sent.
    pub output: usize,
}

/// The sums of all clients as of the last full pass, and recent peaks.
#[derive(Default, Debug)]
pub struct ClientFigures {
    passing: [u64; KINDS],
    passed: [u64; KINDS],
    input_peaks: [usize; PEAK_SECONDS],
    output_peaks: [usize; PEAK_SECONDS],
    second: i64,
}

impl ClientFigures {
    /// Takes a client of a class into the pass that is under way.
    pub fn add(&mut self, kind: usize, buffers: ClientBuffers, now_s: i64) {
        self.turn(now_s);
        if let Some(sum) = self.passing.get_mut(kind) {
            *sum += buffers.total as u64;
        }
        let slot = slot(now_s);
        self.input_peaks[slot] = self.input_peaks[slot].max(buffers.input);
        self.output_peaks[slot] = self.output_peaks[slot].max(buffers.output);
    }

    /// Every client has been looked at; the next pass begins.
    pub fn end_pass(&mut self) {
        self.passed = std::mem::take(&mut self.passing);
    }

    /// What all clients of a class cost, bytes.
    pub fn bytes(&self, kind: usize) -> u64 {
        self.passed.get(kind).copied().unwrap_or(0)
    }

    /// The largest input and output buffers of the last seconds, bytes.
    pub fn peaks(&self) -> (usize, usize) {
        let max = |peaks: &[usize]| peaks.iter().copied().max().unwrap_or(0);
        (max(&self.input_peaks), max(&self.output_peaks))
    }

    /// Forgets the peaks of seconds that are long enough ago.
    fn turn(&mut self, now_s: i64) {
        let passed = now_s.saturating_sub(self.second);
        if passed == 0 {
            return;
        }
        let stale = usize::try_from(passed).map_or(PEAK_SECONDS, |passed| passed.min(PEAK_SECONDS));
        for back in 0..stale {
            let slot = slot(now_s - back as i64);
            (self.input_peaks[slot], self.output_peaks[slot]) = (0, 0);
        }
        self.second = now_s;
    }
}

fn slot(second: i64) -> usize {
    second.rem_euclid(PEAK_SECONDS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(total: usize, input: usize, output: usize) -> ClientBuffers {
        ClientBuffers {
            total,
            input,
            output,
        }
    }

    #[test]
    fn sums_are_those_of_a_full_pass() {
        let mut figures = ClientFigures::default();
        figures.add(0, buffers(10, 1, 2), 100);
        assert_eq!(figures.bytes(0), 0);
        figures.add(2, buffers(5, 0, 0), 100);
        figures.add(0, buffers(1, 0, 0), 100);
        figures.end_pass();
        assert_eq!([0, 1, 2].map(|kind| figures.bytes(kind)), [11, 0, 5]);
        figures.end_pass();
        assert_eq!(figures.bytes(0), 0);
    }

    #[test]
    fn peaks_are_forgotten() {
        let mut figures = ClientFigures::default();
        figures.add(0, buffers(10, 7, 9), 100);
        figures.add(0, buffers(10, 3, 4), 107);
        assert_eq!(figures.peaks(), (7, 9));
        figures.add(0, buffers(10, 1, 1), 108);
        assert_eq!(figures.peaks(), (3, 4));
        figures.add(0, buffers(10, 0, 2), 1000);
        assert_eq!(figures.peaks(), (0, 2));
        // A clock that was set back starts over.
        figures.add(0, buffers(10, 5, 5), 50);
        assert_eq!(figures.peaks(), (5, 5));
    }
}
