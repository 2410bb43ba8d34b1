//! What is read out of something else, handed on while it is read.

use std::io::{self, Cursor, Read};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, SyncSender};

use super::{From, Input, Origin};

/// Bytes up to which something is held as a whole.
const HELD_BYTES: u64 = 4 << 20;

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
    most_bytes: usize,
    /// Whether what is binary is passed over.
    skip_binary: bool,
    /// Whether paths are told of by themselves, with nothing in them.
    tells_paths: bool,
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
pub fn feed(skip_binary: bool, tells_paths: bool) -> (Feed, Receiver<Fed>) {
    let (to, from) = mpsc::sync_channel(WAITING);
    let (batch, batch_bytes, most_bytes) = (Vec::new(), 0, BATCH_BYTES);
    (Feed { to, batch, batch_bytes, most_bytes, skip_binary, tells_paths }, from)
}

impl Feed {
    /// One of so many to the same place.
    pub fn one_of(&self, count: usize) -> Feed {
        let (batch, batch_bytes, most_bytes) = (Vec::new(), 0, self.most_bytes / count.max(1));
        Feed { to: self.to.clone(), batch, batch_bytes, most_bytes, ..*self }
    }

    /// Hands on what is there as a whole.
    pub fn held(&mut self, origins: Vec<Origin>, bytes: Vec<u8>) -> Result<(), Closed> {
        let mut others = origins.into_iter();
        let Some(origin) = others.next() else { return Ok(()) };
        self.batch_bytes += bytes.len();
        let (others, skip_binary) = (others.collect(), self.skip_binary);
        self.batch.push(Input { origin, others, from: From::Held(bytes), skip_binary });
        match self.batch_bytes >= self.most_bytes || self.batch.len() >= BATCH_INPUTS {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Hands on a path by itself, for rules about these.
    pub fn path(&mut self, origins: Vec<Origin>) -> Result<(), Closed> {
        if self.tells_paths { self.held(origins, Vec::new()) } else { Ok(()) }
    }

    /// Hands on what is read: as a whole, if it is little, or in several places. What was read before an error is not lost.
    pub fn read(&mut self, origins: Vec<Origin>, reader: &mut dyn Read) -> Result<(), FeedError> {
        let most = if origins.len() > 1 { u64::MAX } else { HELD_BYTES };
        let mut bytes = Vec::new();
        let read = reader.take(most.saturating_add(1)).read_to_end(&mut bytes);
        match origins.first() {
            Some(origin) if read.is_ok() && bytes.len() as u64 > most => {
                return self.stream(origin.clone(), Cursor::new(bytes).chain(reader));
            }
            _ => self.held(origins, bytes)?,
        }
        read.map(drop).map_err(FeedError::Read)
    }

    /// Hands on what is read block by block.
    fn stream(&mut self, origin: Origin, mut reader: impl Read) -> Result<(), FeedError> {
        let (to, blocks) = mpsc::sync_channel(WAITING);
        self.once(origin, Box::new(Blocks { blocks, block: Cursor::default() }), self.skip_binary)?;
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
    pub fn once(
        &mut self,
        origin: Origin,
        reader: Box<dyn Read + Send>,
        skip_binary: bool,
    ) -> Result<(), Closed> {
        self.flush()?;
        let from = From::Stream(Mutex::new(Some(reader)));
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
