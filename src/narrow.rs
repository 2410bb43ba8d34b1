//! Conversions to narrower numbers.

use std::any::type_name;
use std::fmt::Debug;

/// Converts a number that something else keeps small: a capacity, a limit of the device, a budget.
///
/// # Panics
///
/// Where that did not hold, rather than be wrong.
pub(crate) fn narrow<W: TryInto<N> + Copy + Debug, N>(wide: W) -> N {
    wide.try_into().unwrap_or_else(|_| panic!("{wide:?} is no {}", type_name::<N>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_the_same() {
        assert_eq!(narrow::<usize, u8>(255), 255);
        assert_eq!(narrow::<u64, u32>(u64::from(u32::MAX)), u32::MAX);
    }

    #[test]
    #[should_panic(expected = "256 is no u8")]
    fn what_does_not_fit_is_no_other_number() {
        narrow::<usize, u8>(256);
    }
}
