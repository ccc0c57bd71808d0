//! `/proc/cpuinfo`: what CPUID says of the processor (SDM volume 2, CPUID), under the names that Linux uses.

use crate::vfs::Result;
use crate::vfs::pseudo::{Subject, Text};
use core::fmt::Display;
use machine::cpu::{self, cpuid, features};
use machine::time;

const EAX: usize = 0;
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

/// Leaf, sub-leaf and register of feature bits, and the bits' names from the lowest on; `-` for those that have none.
const FLAGS: [(u32, u32, usize, &str); 7] = [
    (
        1,
        0,
        EDX,
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse \
         sse2 ss ht tm ia64 pbe",
    ),
    (
        0x8000_0001,
        0,
        EDX,
        "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow",
    ),
    (
        1,
        0,
        ECX,
        "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 \
         x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor",
    ),
    (
        0x8000_0001,
        0,
        ECX,
        "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp \
         fma4 tce - nodeid_msr - tbm topoext",
    ),
    (
        7,
        0,
        EBX,
        "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx \
         smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl",
    ),
    (
        7,
        0,
        ECX,
        "- avx512vbmi umip pku - waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme \
         avx512_vpopcntdq - la57 - - - - - rdpid",
    ),
    (0xd, 1, EAX, "xsaveopt xsavec xgetbv1 xsaves"),
];

/// All CPUs are alike.
pub(super) fn info(_: Subject, text: &mut Text) -> Result<()> {
    let [level, vendor @ ..] = cpuid(0, 0);
    let [signature, ebx, ..] = cpuid(1, 0);
    let (base, extended) = (signature >> 8 & 0xf, signature >> 16 & 0xf);
    let family = if base == 15 { base + (signature >> 20 & 0xff) } else { base };
    let model = signature >> 4 & 0xf | if matches!(base, 6 | 15) { extended << 4 } else { 0 };
    let sizes = cpuid(0x8000_0008, 0)[EAX];
    let khz = time::rates().map_or(0, |rates| rates.tsc_khz);
    let [first, third, second] = vendor.map(u32::to_le_bytes);
    let vendor = [first, second, third];
    let vendor = core::str::from_utf8(vendor.as_flattened()).unwrap_or("unknown");
    let brand = features::brand();
    for number in cpu::online() {
        let rows: [(&str, &dyn Display); 10] = [
            ("processor\t", &number),
            ("vendor_id\t", &vendor),
            ("cpu family\t", &family),
            ("model\t\t", &model),
            ("model name\t", &brand),
            ("stepping\t", &(signature & 0xf)),
            ("fpu\t\t", &"yes"),
            ("cpuid level\t", &level),
            ("clflush size\t", &((ebx >> 8 & 0xff) * 8)),
            ("cpu MHz\t\t", &format_args!("{}.{:03}", khz / 1000, khz % 1000)),
        ];
        for (name, value) in rows {
            writeln!(text, "{name}: {value}");
        }
        text.put(b"flags\t\t:");
        for (leaf, sub_leaf, register, names) in FLAGS {
            let bits = cpuid(leaf, sub_leaf)[register];
            for (bit, name) in names.split(' ').enumerate() {
                if bits >> bit & 1 != 0 && name != "-" {
                    text.put(b" ");
                    text.put(name.as_bytes());
                }
            }
        }
        writeln!(text, "\nbogomips\t: {}.{:02}", khz / 500, khz / 5 % 100);
        writeln!(text, "address sizes\t: {} bits physical, {} bits virtual\n", sizes & 0xff, sizes >> 8 & 0xff);
    }
    Ok(())
}
