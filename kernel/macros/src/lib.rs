//! Procedural macros of the kernel: [`macro@kernel_test`] and [`macro@Registers`].
//!
//! Both read their input token by token, since neither needs more of Rust's grammar than function names and struct
//! fields. A wrong use is a compile error that points at the wrong token.
#![forbid(unsafe_code)]

mod kernel_test;
mod parse;
mod registers;

use proc_macro::TokenStream;

/// Makes a function a kernel test: it is run by the shell command `test`, inside the booted kernel.
///
/// The function takes nothing and returns nothing, or a `Result` whose error can be shown. It fails by panicking or by
/// returning an error. The crate must be linked into the kernel and depend on `machine`.
///
/// ```ignore
/// #[kernel_test]
/// fn disk_is_there() -> Result<(), String> {
///     device::block_devices().first().map(|_| ()).ok_or("no block device".into())
/// }
/// ```
#[proc_macro_attribute]
pub fn kernel_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    kernel_test::expand(arguments, item).unwrap_or_else(parse::Error::into_tokens)
}

/// Makes a struct the typed registers of a device, over `machine::io::registers`.
///
/// Each field has its offset in bytes as `#[at(offset)]` and a type that implements `machine::io::registers::Registers`:
///
/// - `ReadOnly<T>`, `WriteOnly<T>`, `ReadWrite<T>`: one register of `T` (`u8` to `u64`), with only the accesses named;
/// - another struct with this derive: a group of registers;
/// - `[T; N]`: `N` of them, one after the other;
/// - `Array<T>`: as many as the window has room for from there on, so the number is known at run time. Last field only.
///
/// Offsets rise and fields do not overlap: else the program does not compile. `Registers::map` checks bounds and
/// alignment once, for all fields; accesses afterwards cannot fail.
///
/// ```ignore
/// /// An interrupt controller with a vector for each line.
/// #[derive(Registers)]
/// pub struct Controller {
///     #[at(0x0)]
///     version: ReadOnly<u16>,
///     #[at(0x4)]
///     end_of_interrupt: WriteOnly<u32>,
///     #[at(0x10)]
///     vectors: Array<ReadWrite<u32>>,
/// }
///
/// let mmio = Mmio::claim(address, len, "controller")?;
/// let controller = Controller::map(mmio.window())?;
/// for (line, vector) in controller.vectors.iter().enumerate() {
///     vector.write(32 + line as u32);
/// }
/// ```
#[proc_macro_derive(Registers, attributes(at))]
pub fn registers(item: TokenStream) -> TokenStream {
    registers::expand(item).unwrap_or_else(parse::Error::into_tokens)
}
