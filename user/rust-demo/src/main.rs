//! A Rust program with the standard library, built by plain cargo for Linux. It uses what such programs use (heap,
//! hash map and so random numbers, formatting, files, arguments, environment, clocks) and says what it found.
//!
//! `rust-demo [FILE]` counts the words of FILE. Status 0; 1 when FILE cannot be read.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

fn main() -> ExitCode {
    let start = Instant::now();
    let args: Vec<String> = env::args().collect();
    println!("args: {args:?}");
    println!("environment: {} variables", env::vars_os().count());

    println!("sum of the 1000 squares: {}", sum_of_squares(1000));
    if let Some(path) = args.get(1) {
        match fs::read_to_string(path) {
            Ok(text) => println!("{path}: {}", describe(&text)),
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let elapsed = start.elapsed();
    println!("clock: {}", if elapsed.is_zero() { "stands still" } else { "runs" });
    ExitCode::SUCCESS
}

/// 1² + 2² + … + n², by way of a hash map and a sort.
fn sum_of_squares(n: u64) -> u64 {
    let squares: HashMap<u64, u64> = (1..=n).map(|i| (i, i * i)).collect();
    let mut values: Vec<u64> = squares.into_values().collect();
    values.sort_unstable();
    assert!(values.is_sorted() && values.len() as u64 == n);
    values.iter().sum()
}

/// Bytes, words and the most frequent word of a text, the alphabetically first of several.
fn describe(text: &str) -> String {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    let words: usize = counts.values().sum();
    let top = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)));
    match top {
        Some((word, count)) => format!("{} bytes, {words} words, {word:?} {count} times", text.len()),
        None => format!("{} bytes, no words", text.len()),
    }
}
