# Loaded by tools/gdb.
set pagination off
set confirm off
set architecture i386:x86-64
set disassembly-flavor intel
set print demangle on
set print asm-demangle on
source tools/russet_gdb.py

echo \nStopped before the first instruction. `hbreak kernel_main`, then `continue`. Commands of ours: ktasks klocks kpt kregs\n
echo user-symbols; `help` explains each.\n
