//! One scan, from haystack to matches.
