# Loaded by tools/gdb.
set pagination off
set confirm off
set architecture i386:x86-64
set disassembly-flavor intel
set print demangle on
set print asm-demangle on

define user-symbols
  if $argc != 1
    echo user-symbols PATH: loads the symbols of a statically linked program, such as build/user/root/bin/primes\n
  else
    add-symbol-file $arg0
  end
end
document user-symbols
Loads the symbols of a statically linked user program: user-symbols build/user/root/bin/primes
end

echo \nStopped before the first instruction. `hbreak kernel_main`, then `continue`.\n
