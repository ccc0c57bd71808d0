//! Kernel tests: records that `#[kernel_test]` puts into a link section, found again here.

/// One test.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KernelTest {
    /// Path of the function.
    pub name: &'static str,
    /// The test; panics, or returns an error's text, if it fails.
    pub run: fn() -> Result<(), alloc::string::String>,
}

unsafe extern "C" {
    static kernel_tests_start: u8;
    static kernel_tests_end: u8;
}

/// All tests of the kernel image.
pub fn all() -> &'static [KernelTest] {
    let (start, end) = (&raw const kernel_tests_start, &raw const kernel_tests_end);
    let count = (end as usize - start as usize) / size_of::<KernelTest>();
    // SAFETY: (1) the section holds `KernelTest` values only, put there by `kernel_test_record`, one after the other.
    unsafe { core::slice::from_raw_parts(start.cast::<KernelTest>(), count) }
}

/// Puts a test's record into the link section; what `#[kernel_test]` expands to.
#[macro_export]
macro_rules! kernel_test_record {
    ($name:ident, $function:path) => {
        #[used]
        #[unsafe(link_section = ".kernel_tests")]
        static $name: $crate::ktest::KernelTest = $crate::ktest::KernelTest {
            name: concat!(module_path!(), "::", stringify!($function)),
            run: || $crate::ktest::Outcome::into_result($function()),
        };
    };
}

/// What a test function may return.
pub trait Outcome {
    /// The result.
    fn into_result(self) -> Result<(), alloc::string::String>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), alloc::string::String> {
        Ok(())
    }
}

impl<E: core::fmt::Display> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), alloc::string::String> {
        self.map_err(|error| alloc::format!("{error}"))
    }
}
