//! `#[kernel_test]`: marks a function as an in-kernel test.
//!
//! The function takes no arguments and returns nothing; it fails by panicking.
//! `#[kernel_test(should_panic)]` turns that round: the test passes only if it panics, and
//! `#[kernel_test(should_panic = "text")]` only if the panic's message contains the text.
//! The attribute leaves the function as it is and registers its name and address through
//! `machine::register_test!`; without the feature `tests` nothing of it is built.

#![forbid(unsafe_code)]

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// Registers the function below as an in-kernel test.
#[proc_macro_attribute]
pub fn kernel_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = arguments.to_string();
    let should_panic = match arguments.split_once('=') {
        None if arguments.is_empty() => "None".to_string(),
        None if arguments == "should_panic" => "Some(\"\")".to_string(),
        Some((name, text)) if name.trim() == "should_panic" => format!("Some({text})"),
        _ => return error(&format!("kernel_test: unknown argument `{arguments}`; known: should_panic")),
    };
    let Some(name) = function_name(&item) else {
        return error("kernel_test: expected a function without arguments");
    };
    let registration = format!(
        "#[cfg(feature = \"tests\")] machine::register_test!({name}, concat!(module_path!(), \"::\", \"{name}\"), {should_panic});"
    );
    let mut output: TokenStream =
        "#[cfg(feature = \"tests\")]".parse().expect("the attribute is well formed");
    output.extend(item);
    output.extend(registration.parse::<TokenStream>().expect("the macro call is well formed"));
    output
}

/// The name of `fn name()` in `item`, if it takes no arguments.
fn function_name(item: &TokenStream) -> Option<String> {
    let mut tokens =
        item.clone().into_iter().skip_while(|t| !matches!(t, TokenTree::Ident(i) if i.to_string() == "fn"));
    tokens.next()?;
    let TokenTree::Ident(name) = tokens.next()? else { return None };
    match tokens.next()? {
        TokenTree::Group(group)
            if group.delimiter() == Delimiter::Parenthesis && group.stream().is_empty() =>
        {
            Some(name.to_string())
        }
        _ => None,
    }
}

fn error(message: &str) -> TokenStream {
    format!("compile_error!({message:?});").parse().expect("a string literal is well formed")
}
