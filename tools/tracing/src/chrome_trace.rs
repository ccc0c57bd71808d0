//! Makes Chrome's trace-event JSON of a trace that the kernel's `trace save` wrote; `tools/chrome-trace` builds and runs it.

use klib::trace::chrome;
use klib::trace::file::Trace;
use std::error::Error;
use std::{env, fs, process};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, trace, output] = arguments.as_slice() else {
        eprintln!("usage: chrome-trace TRACE OUTPUT.json");
        process::exit(2);
    };
    if let Err(error) = convert(trace, output) {
        eprintln!("chrome-trace: {trace}: {error}");
        process::exit(1);
    }
}

fn convert(trace: &str, output: &str) -> Result<(), Box<dyn Error>> {
    let trace = Trace::parse(&fs::read(trace)?)?;
    let mut json = String::new();
    chrome::write(&trace, &mut json)?;
    fs::write(output, json).map_err(|error| format!("{output}: {error}"))?;
    for part in &trace.cpus {
        println!("CPU {}: {} events, {} more lost before them", part.cpu, part.count, part.lost);
    }
    Ok(())
}
