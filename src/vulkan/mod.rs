//! The Vulkan layer. Nothing here knows about regular expressions.
