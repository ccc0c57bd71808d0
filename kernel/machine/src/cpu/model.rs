//! What CPUID says of the processor, for people and for programs that read `/proc/cpuinfo` (SDM volume 2, CPUID).

use alloc::string::String;
use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

/// A model of processor. The numbers are as Linux shows them.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "named as in /proc/cpuinfo")]
pub struct Model {
    pub vendor: String,
    pub name: String,
    pub family: u32,
    pub model: u32,
    pub stepping: u32,
    /// Highest basic leaf.
    pub cpuid_level: u32,
    /// Bytes that CLFLUSH flushes.
    pub clflush_bytes: u32,
    pub physical_bits: u32,
    pub virtual_bits: u32,
}

/// This processor.
pub fn get() -> Model {
    let leaf_0 = __cpuid(0);
    let vendor = [leaf_0.ebx, leaf_0.edx, leaf_0.ecx].map(u32::to_le_bytes);
    let leaf_1 = __cpuid(1);
    let base_family = leaf_1.eax >> 8 & 0xf;
    let extended_model = if matches!(base_family, 6 | 15) { leaf_1.eax >> 12 & 0xf0 } else { 0 };
    let sizes = if highest_extended() >= 0x8000_0008 { __cpuid(0x8000_0008).eax } else { 48 << 8 | 36 };
    Model {
        vendor: String::from_utf8_lossy(vendor.as_flattened()).into_owned(),
        name: super::features::brand(),
        family: if base_family == 15 { base_family + (leaf_1.eax >> 20 & 0xff) } else { base_family },
        model: leaf_1.eax >> 4 & 0xf | extended_model,
        stepping: leaf_1.eax & 0xf,
        cpuid_level: leaf_0.eax,
        clflush_bytes: (leaf_1.ebx >> 8 & 0xff) * 8,
        physical_bits: sizes & 0xff,
        virtual_bits: sizes >> 8 & 0xff,
    }
}

/// Names of the bits of each register, lowest first, as Linux calls them; `-` for those that have none.
const LEAF_1_EDX: &str = "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi \
    mmx fxsr sse sse2 ss ht tm ia64 pbe";
const EXTENDED_1_EDX: &str =
    "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow";
const LEAF_1_ECX: &str = "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca \
    sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor";
const EXTENDED_1_ECX: &str = "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop \
    skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext";
const LEAF_7_EBX: &str = "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq \
    rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl";
const LEAF_7_ECX: &str = "- avx512vbmi umip pku - waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme \
    avx512_vpopcntdq - la57 - - - - - rdpid";
const LEAF_D_1_EAX: &str = "xsaveopt xsavec xgetbv1 xsaves";

/// Calls `f` with the name of each feature that the processor has.
pub fn for_each_flag(mut f: impl FnMut(&str)) {
    const NONE: CpuidResult = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    let basic = |leaf, sub| if __cpuid(0).eax >= leaf { __cpuid_count(leaf, sub) } else { NONE };
    let extended = if highest_extended() >= 0x8000_0001 { __cpuid(0x8000_0001) } else { NONE };
    let registers = [
        (__cpuid(1).edx, LEAF_1_EDX),
        (extended.edx, EXTENDED_1_EDX),
        (__cpuid(1).ecx, LEAF_1_ECX),
        (extended.ecx, EXTENDED_1_ECX),
        (basic(7, 0).ebx, LEAF_7_EBX),
        (basic(7, 0).ecx, LEAF_7_ECX),
        (basic(0xd, 1).eax, LEAF_D_1_EAX),
    ];
    for (bits, names) in registers {
        for (bit, name) in names.split_ascii_whitespace().enumerate() {
            if bits >> bit & 1 != 0 && name != "-" {
                f(name);
            }
        }
    }
}

fn highest_extended() -> u32 {
    __cpuid(0x8000_0000).eax
}
