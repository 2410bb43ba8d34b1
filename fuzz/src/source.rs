//! Choices, made of bytes. Once the bytes have come to an end it is always the first of what may be chosen.

use std::ops::RangeInclusive;

use arbitrary::Unstructured;

pub struct Source<'b>(Unstructured<'b>);

impl<'b> Source<'b> {
    pub fn new(bytes: &'b [u8]) -> Source<'b> {
        Source(Unstructured::new(bytes))
    }

    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        self.0.int_in_range(range).expect("there is something to choose")
    }

    pub fn byte(&mut self) -> u8 {
        self.within(0..=255) as u8
    }

    /// True once in so many times, and never where the bytes have come to an end.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.within(0..=times - 1) == times - 1
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..=choices.len() - 1)]
    }

    pub fn list<T>(
        &mut self,
        len: RangeInclusive<usize>,
        mut item: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let len = self.within(len);
        (0..len).map(|_| item(self)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
