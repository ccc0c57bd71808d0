//! `#[kernel_test]`: the function as it is, and its record for the link section.

use crate::parse::{Error, name_after};
use proc_macro::{Span, TokenStream};

pub fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    if let Some(token) = arguments.into_iter().next() {
        return Err(Error::new("#[kernel_test] takes no arguments", token.span()));
    }
    let name =
        name_after("fn", &item).ok_or_else(|| Error::new("#[kernel_test] is for functions", Span::call_site()))?;
    let record: TokenStream = format!("const _: () = {{ ::machine::kernel_test_record!(RECORD, {name}); }};")
        .parse()
        .map_err(|_| Error::new("not a function name", name.span()))?;
    let mut output = item;
    output.extend(record);
    Ok(output)
}
