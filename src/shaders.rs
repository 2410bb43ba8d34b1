//! The kernels that the build script compiled, and the layouts they share with the host.
