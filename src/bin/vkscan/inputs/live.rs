//! What comes bit by bit.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

/// A file that may give bytes now and then. When it has given some and no more come for a moment, it says so by
/// [`ErrorKind::WouldBlock`] once, for what has come to be scanned meanwhile.
pub struct Live {
    file: File,
    /// Whether bytes have come since it last said so.
    has_come: bool,
    /// When it last said so.
    said: Option<Instant>,
    /// Least time without bytes after which it says so.
    moment: Duration,
}

impl Live {
    /// Soon enough for people, and long enough for a program that has more to say.
    const MOMENT: Duration = Duration::from_millis(100);

    pub fn new(file: File) -> Live {
        Live { file, has_come: false, said: None, moment: Live::MOMENT }
    }

    /// Has it say so once for what it has given before.
    pub fn wake(&mut self) {
        self.has_come = true;
        self.said = None;
    }

    /// Waits a moment for bytes, or their end. Says whether there are any.
    #[cfg(unix)]
    fn wait(&self) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, poll};
        let moment = self.moment.try_into().map_err(io::Error::other)?;
        let mut files = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut files, Some(&moment)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(unix))]
    fn wait(&self) -> io::Result<bool> {
        Ok(true)
    }
}

impl Read for Live {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if let Some(said) = self.said.take() {
            // What has to be looked at again and again takes longer and longer.
            self.moment = said.elapsed().max(Live::MOMENT);
        }
        if self.has_come && !self.wait()? {
            self.has_come = false;
            self.said = Some(Instant::now());
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.file.read(to)?;
        self.has_come |= count > 0;
        Ok(count)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_comes_bit_by_bit_is_told_from_what_comes_at_once() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut live = Live::new(std::os::fd::OwnedFd::from(reader).into());
        let mut bytes = [0; 9];
        io::Write::write_all(&mut writer, b"some").unwrap();
        assert_eq!(live.read(&mut bytes).unwrap(), 4);
        assert_eq!(live.read(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
        // The second time it waits.
        io::Write::write_all(&mut writer, b"more").unwrap();
        assert_eq!(live.read(&mut bytes).unwrap(), 4);
        drop(writer);
        assert_eq!(live.read(&mut bytes).unwrap(), 0);
    }
}
