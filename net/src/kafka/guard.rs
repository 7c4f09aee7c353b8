//! Walks a request against its shape before the schema crate decodes it. That crate reserves memory for as many array
//! elements as the bytes claim, which ends the process when they claim 2^31; so claims are checked here first.
//!
//! What passes is decoded without a panic, into memory that is a small multiple of the request.

use super::shapes::{Field, Kind};
use super::wire::{Wire, WireReader};

/// Reads all of `fields` in `version`; the reader is then behind the last of them.
pub(crate) fn walk(reader: &mut WireReader, fields: &'static [Field], version: i16, flexible: bool) -> Wire<()> {
    for field in fields.iter().filter(|field| field.from <= version && version <= field.to) {
        walk_field(reader, field, version, flexible)?;
    }
    reader.skip_tags(flexible)
}

fn walk_field(reader: &mut WireReader, field: &'static Field, version: i16, flexible: bool) -> Wire<()> {
    let may_be_null = version >= field.null;
    let present = match &field.kind {
        Kind::Fixed(bytes) => {
            reader.take(*bytes)?;
            true
        }
        Kind::Text => reader.nullable_text(flexible)?.is_some(),
        // However many they are, they are one thing and no elements.
        Kind::Bytes => reader.nullable_bytes(flexible)?.is_some(),
        Kind::FixedItems(bytes) => match reader.nullable_array(flexible, *bytes)? {
            Some(n) => {
                reader.take(n * bytes)?;
                true
            }
            None => false,
        },
        Kind::TextItems => walk_items(reader, flexible, text_min(flexible), |reader| {
            reader.text(flexible)?;
            Ok(())
        })?,
        Kind::Structs(fields) => walk_items(reader, flexible, struct_min(fields, version, flexible), |reader| {
            walk(reader, fields, version, flexible)
        })?,
        Kind::Struct(fields) => {
            let is_there = reader.i8()? == 1;
            if is_there {
                walk(reader, fields, version, flexible)?;
            }
            is_there
        }
    };
    if present || may_be_null { Ok(()) } else { Err("a field is null that may not be") }
}

/// Walks an array; false if it is null.
fn walk_items(
    reader: &mut WireReader,
    flexible: bool,
    item_min: usize,
    mut item: impl FnMut(&mut WireReader) -> Wire<()>,
) -> Wire<bool> {
    let Some(n) = reader.nullable_array(flexible, item_min)? else { return Ok(false) };
    for _ in 0..n {
        item(reader)?;
    }
    Ok(true)
}

fn text_min(flexible: bool) -> usize {
    if flexible { 1 } else { 2 }
}

/// The fewest bytes that a struct takes.
fn struct_min(fields: &[Field], version: i16, flexible: bool) -> usize {
    let present = fields.iter().filter(|field| field.from <= version && version <= field.to);
    let bytes: usize = present
        .map(|field| match field.kind {
            Kind::Fixed(bytes) => bytes,
            Kind::Text => text_min(flexible),
            Kind::Struct(_) => 1,
            Kind::Bytes | Kind::FixedItems(_) | Kind::TextItems | Kind::Structs(_) => {
                if flexible {
                    1
                } else {
                    4
                }
            }
        })
        .sum();
    bytes + usize::from(flexible)
}
