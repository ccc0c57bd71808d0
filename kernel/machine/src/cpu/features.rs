//! What this machine's CPUs can do, read once by CPUID on the boot CPU, and the control bits each CPU gets from it.
//!
//! All CPUs are taken to be alike, as the SDM demands of a symmetric system (volume 3, 9.4).

use super::control::*;
use super::msr;
use alloc::string::String;
use raw_cpuid::{CpuId as Cpuid, CpuIdReaderNative};
use spin::Once;

/// Optional features the kernel looks at.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "each field is the CPUID flag of its name")]
pub struct Features {
    pub smep: bool,
    pub smap: bool,
    pub umip: bool,
    pub pcid: bool,
    pub gigabyte_pages: bool,
    pub x2apic: bool,
    pub tsc_deadline: bool,
    pub invariant_tsc: bool,
    pub xsave: bool,
    pub xsaveopt: bool,
    pub rdrand: bool,
    pub rdseed: bool,
    pub rdtscp: bool,
    /// State components the kernel enables in XCR0.
    pub xcr0: u64,
    /// Bytes of the XSAVE (or FXSAVE) area.
    pub fpu_area_len: usize,
    /// EDX of CPUID leaf 1, as AT_HWCAP wants it.
    pub hwcap: u32,
    /// TSC frequency in kHz if CPUID tells.
    pub tsc_khz: Option<u64>,
}

static FEATURES: Once<Features> = Once::new();

/// x87, SSE and AVX state: what the kernel saves for user programs (SDM volume 1, 13.1).
const XCR0_WANTED: u64 = 0b111 | 0b1110_0000;

/// The features, read at the first call.
pub fn get() -> &'static Features {
    FEATURES.call_once(read)
}

/// The name that the CPU gives itself (SDM volume 2, CPUID leaves 80000002h to 80000004h).
pub fn brand() -> String {
    let words = [2, 3, 4].map(|leaf| super::cpuid(0x8000_0000 | leaf, 0).map(u32::to_le_bytes));
    let text = String::from_utf8_lossy(words.as_flattened().as_flattened()).into_owned();
    match text.trim_matches([' ', '\0']) {
        "" => "unknown x86-64 CPU".into(),
        brand => brand.into(),
    }
}

/// Sets this CPU's control registers: floating point on, protections on, PAT.
pub(crate) fn init_this_cpu() {
    let features = get();
    let mut cr4 = cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_PGE | CR4_MCE;
    for (has, bit) in
        [(features.umip, CR4_UMIP), (features.smep, CR4_SMEP), (features.smap, CR4_SMAP), (features.xsave, CR4_OSXSAVE)]
    {
        if has {
            cr4 |= bit;
        }
    }
    // SAFETY: (1) every bit is one the CPU reports, SSE and PGE are part of x86-64; the kernel has no user mapping
    // that SMEP or SMAP would cut off, and opens SMAP around user copies. (2) PAT is part of x86-64: entries 0-3 and 4,
    // 6, 7 stay at their reset values, entry 5 (PAT bit and PWT) becomes write-combining; nothing is mapped by it yet.
    unsafe {
        set_cr0((cr0() | CR0_MP | CR0_NE) & !(CR0_EM | CR0_TS));
        set_cr4(cr4);
        if features.xsave {
            set_xcr0(features.xcr0);
        }
        msr::write(msr::PAT, 0x0007_0106_0007_0406);
        if features.rdtscp {
            msr::write(msr::TSC_AUX, crate::percpu::this_cpu().number().into());
        }
    }
}

fn read() -> Features {
    let cpuid = Cpuid::with_cpuid_reader(CpuIdReaderNative);
    let mut features = Features { fpu_area_len: 512, ..Features::default() };
    if let Some(info) = cpuid.get_feature_info() {
        features.pcid = info.has_pcid();
        features.x2apic = info.has_x2apic();
        features.tsc_deadline = info.has_tsc_deadline();
        features.xsave = info.has_xsave();
        features.rdrand = info.has_rdrand();
    }
    if let Some(info) = cpuid.get_extended_feature_info() {
        features.smep = info.has_smep();
        features.smap = info.has_smap();
        features.umip = info.has_umip();
        features.rdseed = info.has_rdseed();
    }
    if let Some(info) = cpuid.get_extended_processor_and_feature_identifiers() {
        features.gigabyte_pages = info.has_1gib_pages();
        features.rdtscp = info.has_rdtscp();
    }
    if let Some(info) = cpuid.get_advanced_power_mgmt_info() {
        features.invariant_tsc = info.has_invariant_tsc();
    }
    features.hwcap = core::arch::x86_64::__cpuid(1).edx;
    if features.xsave {
        read_xsave(&mut features);
    }
    features.tsc_khz = cpuid.get_tsc_info().and_then(|info| info.tsc_frequency()).map(|hz| hz / 1000);
    features
}

/// CPUID leaf 0Dh: which components exist, and how large the area for the wanted ones is (SDM volume 1, 13.2).
fn read_xsave(features: &mut Features) {
    let main = core::arch::x86_64::__cpuid_count(0xd, 0);
    let supported = u64::from(main.edx) << 32 | u64::from(main.eax);
    let mut wanted = supported & XCR0_WANTED;
    if wanted & 0b1110_0000 != 0b1110_0000 || wanted & 0b100 == 0 {
        wanted &= 0b111; // AVX-512 comes whole and with AVX, or not at all
    }
    features.xcr0 = wanted;
    let mut len = 512 + 64;
    for component in 2..63 {
        if wanted & (1 << component) != 0 {
            let leaf = core::arch::x86_64::__cpuid_count(0xd, component);
            len = len.max(leaf.ebx as usize + leaf.eax as usize);
        }
    }
    features.fpu_area_len = len;
    features.xsaveopt = core::arch::x86_64::__cpuid_count(0xd, 1).eax & 1 != 0;
}
