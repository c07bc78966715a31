<<<<<<< HEAD
//! The executor against real machines and engines; `tart` alone has a stand-in.

mod stand_in;
mod tart_contract;
=======
//! The executor against real git, real processes, real mounts.

mod attempts;
mod bench;
>>>>>>> 02440f3 (executor: one attempt of a node on this machine, from nothing to a verdict)
