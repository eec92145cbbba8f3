"""Arrow's types without views and dictionaries, for which it has few functions."""

from __future__ import annotations

import pyarrow as pa


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns in plain types."""
    return pa.schema([(column.name, plain_type(column.type)) for column in schema])


def is_plain(schema: pa.Schema) -> bool:
    """Have all columns plain types?"""
    return all(plain_type(column.type) == column.type for column in schema)


def as_plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows in plain types."""
    return pa.record_batch([plain_column(column) for column in batch.columns], batch.schema.names)


def plain_column(column: pa.Array) -> pa.Array:
    """The same values in a plain type."""
    kind = plain_type(column.type)
    if kind == column.type:
        return column
    if not _has_list_view(column.type):  # Arrow's cast of these makes lists with an offset missing
        try:
            return column.cast(kind)
        except pa.ArrowNotImplementedError:  # each version of Arrow casts more nested types
            pass
    return pa.array(column.to_pylist(), kind)


def _has_list_view(kind: pa.DataType) -> bool:
    view = pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    return view or any(_has_list_view(kind.field(i).type) for i in range(kind.num_fields))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without views and dictionaries."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)))
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(kind.value_field.with_type(plain_type(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)), kind.list_size)
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), kind.item_field.with_type(plain_type(kind.item_type)), kind.keys_sorted)
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(i).with_type(plain_type(kind.field(i).type)) for i in range(kind.num_fields)])
    return kind
