//! Which stages the device has begun and ended last, in words that it writes around each: what is left to read of them tells
//! where it was lost.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ash::vk;

use super::{Device, QueueRole};
use crate::narrow::narrow;
use crate::vulkan::allocator::MemoryLocation;
use crate::vulkan::error::Result;
use crate::vulkan::memory::Buffer;

/// Labels that are remembered: those that were new last.
const REMEMBERED: usize = 1 << 12;

/// The words of a queue.
#[derive(Clone, Copy)]
pub(in crate::vulkan) enum Mark {
    Begun,
    Ended,
}

/// Where a mark of a queue is, in bytes.
fn place(queue: u64, mark: Mark) -> u64 {
    8 * queue + 4 * mark as u64
}

const QUEUES: [(QueueRole, &str); 2] =
    [(QueueRole::Compute, "the compute queue"), (QueueRole::Transfer, "the transfer queue")];

/// The marks of a device: none unless they are asked for.
#[derive(Default)]
pub(in crate::vulkan) struct StageMarks(OnceLock<Mutex<Option<Marks>>>);

struct Marks {
    /// Two words for each queue: the numbers of stages, from 1 on.
    words: Buffer,
    /// The numbers of stages by their labels, and the labels in the order of their numbers.
    numbers: HashMap<String, u32>,
    labels: VecDeque<String>,
    /// The newest number.
    newest: u32,
}

impl StageMarks {
    /// Has the stages marked that are recorded from now on.
    pub(super) fn begin(&self, device: &Arc<Device>) -> Result<()> {
        let none = [0; 8 * QUEUES.len()];
        let size = none.len() as u64;
        let usage = vk::BufferUsageFlags::TRANSFER_DST;
        let words = Buffer::new(device, "stage marks", size, MemoryLocation::Readback, usage)?;
        words.write(0, &none);
        words.flush(0..size)?;
        let (numbers, labels) = (HashMap::new(), VecDeque::new());
        let marks = Marks { words, numbers, labels, newest: 0 };
        let _ = self.0.set(Mutex::new(Some(marks)));
        Ok(())
    }

    /// Gives the words back: they hold on to the device.
    pub(super) fn end(&self) {
        if let Some(marks) = self.0.get() {
            lock(marks).take();
        }
    }

    /// Gives a stage its number, where stages are marked.
    pub(in crate::vulkan) fn enter(&self, label: fmt::Arguments) -> Option<u32> {
        let mut marks = lock(self.0.get()?);
        let marks = marks.as_mut()?;
        let label = label.to_string();
        if let Some(number) = marks.numbers.get(&label) {
            return Some(*number);
        }
        if marks.labels.len() == REMEMBERED
            && let Some(oldest) = marks.labels.pop_front()
        {
            marks.numbers.remove(&oldest);
        }
        marks.newest += 1;
        marks.labels.push_back(label.clone());
        marks.numbers.insert(label, marks.newest);
        Some(marks.newest)
    }

    /// The buffer of a mark, and where in it.
    pub(in crate::vulkan) fn place(&self, role: QueueRole, mark: Mark) -> Option<(Buffer, u64)> {
        let words = lock(self.0.get()?).as_ref()?.words.clone();
        let queue = QUEUES.iter().position(|(queue, _)| *queue == role)?;
        Some((words, place(queue as u64, mark)))
    }

    /// What was begun and ended last, as far as it has come to the host.
    pub(super) fn describe(&self) -> Option<String> {
        let marks = lock(self.0.get()?);
        let marks = marks.as_ref()?;
        // A lost device may refuse, and where its memory is coherent that changes nothing.
        let _ = marks.words.invalidate(0..marks.words.size());
        let told = (0..).zip(QUEUES).filter_map(|(queue, (_, name))| {
            let [begun, ended] = [Mark::Begun, Mark::Ended]
                .map(|mark| marks.label(marks.words.peek(place(queue, mark))));
            let begun = begun?;
            let ended = ended.map_or("none".to_owned(), |label| format!("{label:?}"));
            Some(format!("{name} began {begun:?} last, and ended {ended}"))
        });
        let told: Vec<String> = told.collect();
        Some(match told.is_empty() {
            true => "no stage had begun".to_owned(),
            false => told.join("; "),
        })
    }
}

impl Marks {
    fn label(&self, number: u32) -> Option<&str> {
        let oldest = self.newest - narrow::<_, u32>(self.labels.len());
        match number.checked_sub(oldest + 1) {
            _ if number == 0 => None,
            Some(place) => self.labels.get(place as usize).map(String::as_str),
            None => Some("one that is forgotten"),
        }
    }
}

fn lock(marks: &Mutex<Option<Marks>>) -> MutexGuard<'_, Option<Marks>> {
    marks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vulkan::command::Commands;
    use crate::vulkan::testing::{Hold, TestBackend};
    use crate::vulkan::timeline::Timeline;

    /// A device that has done one thing and is at another.
    #[test]
    fn what_was_begun_is_told_from_what_was_ended() {
        let backend = TestBackend::new();
        let device = backend.device();
        device.mark_stages().unwrap();
        let told = || device.stage_marks().describe().unwrap();
        assert_eq!(told(), "no stage had begun");
        let timeline = Timeline::new(device, "timeline").unwrap();
        let mut commands = ["one", "two"].map(|name| Commands::new(device, name).unwrap());
        for (index, commands) in commands.iter_mut().enumerate() {
            commands
                .record(|to| {
                    to.label_begin(format_args!("outer {index}"));
                    to.label_begin(format_args!("inner {index}"));
                    to.label_end();
                    to.label_end();
                })
                .unwrap();
        }
        let [one, two] = &mut commands;
        let value = device.submit(&mut [one], &timeline).unwrap();
        timeline.wait(value, device.deadline()).unwrap();
        let of_one = r#"the compute queue began "inner 0" last, and ended "outer 0""#;
        assert_eq!(told(), of_one);
        // What has not begun is not told.
        let hold = Hold::new(device);
        let value = device.submit(&mut [two], &timeline).unwrap();
        assert_eq!(told(), of_one);
        drop(hold);
        timeline.wait(value, device.deadline()).unwrap();
        assert_eq!(told(), of_one.replace('0', "1"));
        drop((commands, timeline));
        device.stage_marks().end();
        assert_eq!(device.allocated_bytes(), 0);
    }

    #[test]
    fn labels_of_long_ago_are_forgotten() {
        let backend = TestBackend::new();
        let device = backend.device();
        device.mark_stages().unwrap();
        let enter = |index: usize| device.stage_marks().enter(format_args!("{index}")).unwrap();
        let numbers: Vec<u32> = (0..REMEMBERED + 2).map(enter).collect();
        // What is known has its number.
        assert_eq!(enter(2), numbers[2]);
        let marks = lock(device.stage_marks().0.get().unwrap());
        let label = |number: u32| marks.as_ref().unwrap().label(number).map(str::to_owned);
        assert_eq!(label(0), None);
        assert_eq!(label(numbers[1]).unwrap(), "one that is forgotten");
        assert_eq!(label(numbers[2]).unwrap(), "2");
        assert_eq!(label(numbers[REMEMBERED + 1]).unwrap(), (REMEMBERED + 1).to_string());
    }
}
