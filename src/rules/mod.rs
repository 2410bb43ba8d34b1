//! From regex text to automaton tables. Nothing here knows about Vulkan.
