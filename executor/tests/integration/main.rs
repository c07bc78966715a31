//! The executor against real machines and engines; `tart` alone has a stand-in.

mod stand_in;
mod tart_contract;
