//! Setters for options that may yet get more fields.

/// One for each field, for calls one after the other.
macro_rules! setters {
    ($options:ident { $($field:ident: $value:ty),* $(,)? }) => {
        impl $options {
            $(
                #[doc = concat!("Sets [`", stringify!($options), "::", stringify!($field), "`](", stringify!($options),
                    "#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $value) -> $options {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

pub(crate) use setters;
