//! A struct of handles is a record: each field at its key.

use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, LitStr, WherePredicate, parse_quote};

/// The implementation of `watersmeet_crdt::typed::Record`.
pub(crate) fn record_of(input: DeriveInput) -> Result<Tokens, Error> {
    let DeriveInput { ident, mut generics, data, .. } = input;
    let fields = match data {
        Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => data.fields,
        _ => {
            return Err(Error::new(
                ident.span(),
                "a record is a struct with named fields: their names are its keys",
            ));
        }
    };
    let keys = keys(&fields)?;
    let record = quote!(::watersmeet_crdt::typed::Record);
    if generics.type_params().next().is_some() {
        let bound = |field: &Field| -> WherePredicate {
            let kind = &field.ty;
            parse_quote!(#kind: #record)
        };
        let bounds: Vec<_> = fields.iter().map(bound).collect();
        generics.make_where_clause().predicates.extend(bounds);
    }
    let paths: Vec<_> = (0..keys.len()).map(|n| format_ident!("path_{n}")).collect();
    let handles = fields.iter().zip(&paths).map(|(Field { ident, ty, .. }, path)| {
        let at = quote_spanned!(ty.span()=> <#ty as #record>::at);
        quote!(#ident: #at(#path))
    });
    let (parameters, arguments, bounds) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #parameters #record for #ident #arguments #bounds {
            fn at(path: ::watersmeet_crdt::typed::Path) -> Self {
                let [#(#paths),*] = path.fields([#(#keys),*]);
                Self { #(#handles),* }
            }
        }
    })
}

/// The key of each field. Two fields of one key would be two views of one thing, and so are taken for a mistake.
fn keys(fields: &Fields) -> Result<Vec<LitStr>, Error> {
    let mut keys: Vec<LitStr> = Vec::new();
    for field in fields {
        let key = key(field)?;
        if keys.iter().any(|other| other.value() == key.value()) {
            return Err(Error::new(
                key.span(),
                format!("another field has the key {:?} already", key.value()),
            ));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// What `#[record(key = "…")]` says, or else the field's name.
fn key(field: &Field) -> Result<LitStr, Error> {
    let mut key = field.ident.as_ref().map(|name| LitStr::new(&name.unraw().to_string(), name.span()));
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("record")) {
        attribute.parse_nested_meta(|setting| {
            if !setting.path.is_ident("key") {
                return Err(setting.error("a field of a record has one setting, `key = \"…\"`"));
            }
            key = Some(setting.value()?.parse()?);
            Ok(())
        })?;
    }
    key.ok_or_else(|| Error::new(field.span(), "name the field: its name is its key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(input: DeriveInput) -> Option<String> {
        record_of(input).err().map(|error| error.to_string())
    }

    #[test]
    fn what_has_no_keys_is_told_so() {
        let keyless = Some("a record is a struct with named fields: their names are its keys".to_owned());
        let tuple: DeriveInput = syn::parse_quote!(
            struct Votes(Counter);
        );
        let choice: DeriveInput = syn::parse_quote!(
            enum Votes {
                Yes,
                No,
            }
        );
        assert_eq!((told(tuple), told(choice)), (keyless.clone(), keyless));
    }

    #[test]
    fn a_key_stands_for_one_field() {
        let twice = syn::parse_quote!(
            struct Place {
                name: Counter,
                #[record(key = "name")]
                title: Counter,
            }
        );
        assert_eq!(told(twice).as_deref(), Some("another field has the key \"name\" already"));
        let swapped = syn::parse_quote! {
            struct Place { #[record(key = "b")] a: Counter, #[record(key = "a")] b: Counter, r#type: Counter }
        };
        assert_eq!(told(swapped), None);
    }

    #[test]
    fn an_unknown_setting_is_not_passed_over() {
        let unknown = syn::parse_quote!(
            struct Place {
                #[record(name = "n")]
                name: Counter,
            }
        );
        assert_eq!(told(unknown).as_deref(), Some("a field of a record has one setting, `key = \"…\"`"));
    }
}
