//! What is read out of something else, handed on while it is read.

use std::io::{self, Cursor, Read};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, SyncSender};

use super::{From, Input, Origin};

/// Bytes up to which something is held as a whole.
const HELD_BYTES: usize = 4 << 20;

/// Bytes, and inputs, that are handed on together.
const BATCH_BYTES: usize = 32 << 20;
const BATCH_INPUTS: usize = 1 << 12;

/// Batches that wait to be scanned, and blocks of what comes as it is read.
const WAITING: usize = 2;

/// Bytes of such a block.
const BLOCK_BYTES: usize = 1 << 20;

/// What comes of it.
pub enum Fed {
    Inputs(Vec<Input>),
    /// What could not be read, and why.
    Failed(String),
}

/// Where it is handed on. Nobody may listen any more: then there is nothing left to do.
pub struct Feed {
    to: SyncSender<Fed>,
    batch: Vec<Input>,
    batch_bytes: usize,
    /// Whether what is binary is passed over.
    skip_binary: bool,
}

/// That nobody listens any more.
pub struct Closed;

/// What keeps something from being handed on.
pub enum FeedError {
    Closed,
    Read(io::Error),
    /// An error that comes to whoever scans it.
    Told,
}

impl std::convert::From<Closed> for FeedError {
    fn from(_: Closed) -> FeedError {
        FeedError::Closed
    }
}

/// A feed, and where it leads to.
pub fn feed(skip_binary: bool) -> (Feed, Receiver<Fed>) {
    let (to, from) = mpsc::sync_channel(WAITING);
    (Feed { to, batch: Vec::new(), batch_bytes: 0, skip_binary }, from)
}

impl Feed {
    /// Another one to the same place.
    pub fn another(&self) -> Feed {
        let (to, skip_binary) = (self.to.clone(), self.skip_binary);
        Feed { to, batch: Vec::new(), batch_bytes: 0, skip_binary }
    }

    /// Hands on what is there as a whole.
    pub fn held(
        &mut self,
        origin: Origin,
        others: Vec<Origin>,
        bytes: Vec<u8>,
    ) -> Result<(), Closed> {
        self.batch_bytes += bytes.len();
        let skip_binary = self.skip_binary;
        self.batch.push(Input { origin, others, from: From::Held(bytes), skip_binary });
        match self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_INPUTS {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Hands on what is read: as a whole, if it is little. What was read before an error is not lost.
    pub fn read(&mut self, origin: Origin, reader: &mut dyn Read) -> Result<(), FeedError> {
        let mut bytes = Vec::new();
        let read = reader.take(HELD_BYTES as u64 + 1).read_to_end(&mut bytes);
        if read.is_ok() && bytes.len() > HELD_BYTES {
            return self.stream(origin, Cursor::new(bytes).chain(reader));
        }
        if !bytes.is_empty() {
            self.held(origin, Vec::new(), bytes)?;
        }
        read.map(drop).map_err(FeedError::Read)
    }

    /// Hands on what is read block by block.
    fn stream(&mut self, origin: Origin, mut reader: impl Read) -> Result<(), FeedError> {
        let (to, blocks) = mpsc::sync_channel(WAITING);
        self.live(origin, Box::new(Blocks { blocks, block: Cursor::default() }))?;
        loop {
            let mut block = Vec::new();
            let read = (&mut reader).take(BLOCK_BYTES as u64).read_to_end(&mut block);
            let is_over = block.is_empty();
            // Whoever reads it may have had enough.
            if !is_over && to.send(Ok(block)).is_err() {
                return Ok(());
            }
            if let Err(error) = read {
                return to.send(Err(error)).map_or(Ok(()), |()| Err(FeedError::Told));
            }
            if is_over {
                return Ok(());
            }
        }
    }

    /// Hands on what is read by whoever scans it.
    pub fn live(&mut self, origin: Origin, reader: Box<dyn Read + Send>) -> Result<(), Closed> {
        self.flush()?;
        let from = From::Stream(Mutex::new(Some(reader)));
        let skip_binary = self.skip_binary;
        let input = Input { origin, others: Vec::new(), from, skip_binary };
        self.to.send(Fed::Inputs(vec![input])).map_err(|_| Closed)
    }

    /// Says what could not be read.
    pub fn failed(&mut self, what: &Origin, error: &dyn std::fmt::Display) -> Result<(), Closed> {
        self.flush()?;
        self.to.send(Fed::Failed(format!("{what}: {error}"))).map_err(|_| Closed)
    }

    /// Hands on what waits for more.
    pub fn flush(&mut self) -> Result<(), Closed> {
        self.batch_bytes = 0;
        match std::mem::take(&mut self.batch) {
            batch if batch.is_empty() => Ok(()),
            batch => self.to.send(Fed::Inputs(batch)).map_err(|_| Closed),
        }
    }
}

/// What another thread reads.
struct Blocks {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Cursor<Vec<u8>>,
}

impl Read for Blocks {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.block.read(to)? {
                0 if !to.is_empty() => match self.blocks.recv() {
                    Ok(block) => self.block = Cursor::new(block?),
                    Err(_) => return Ok(0),
                },
                count => return Ok(count),
            }
        }
    }
}
