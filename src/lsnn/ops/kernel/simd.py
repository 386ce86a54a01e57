"""Short vectors inside numba: one value per lane of a block, held in registers.

A block is as many samples (lanes) as a mask word has bits, so the type of ``word``, any number of that unsigned type,
says how wide a vector is: ``load(array, index, np.uint32(0))`` takes 32 consecutive numbers.  LLVM splits a vector
into whatever registers the machine has.  A mask holds one bit per lane.  Indices are not checked.

Why not plain loops over lanes: LLVM cannot know that numba's arrays do not overlap, so it neither keeps a sum in
registers across synapses nor turns comparisons into bits.
"""

import operator
import platform
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

WORDS = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
"""type of the mask word by number of lanes"""


CACHE_LINE = 64
"""bytes; a vector that lies across two lines costs twice"""
REGISTER, N_REGISTERS = (64, 32) if get_host_cpu_features().get("avx512f") else (32, 16)
"""bytes of a vector register and how many there are: with AVX-512, and with AVX2, which is assumed elsewhere"""


class Vector(types.Type):
    """numba's type of ``lanes`` numbers of type ``dtype``."""

    def __init__(self, dtype: types.Type, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type: Vector) -> None:
        element = dmm.lookup(fe_type.dtype).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))


# ---- memory ------------------------------------------------------------------------------------------------------


def _address(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def load(typingctx, array, index, word):
    """The lanes that start at flat position ``index`` of a contiguous array."""
    vector = Vector(array.dtype, word.bitwidth)

    def codegen(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1])
        pointer = builder.bitcast(pointer, context.get_value_type(vector).as_pointer())
        return builder.load(pointer, align=context.get_abi_sizeof(context.get_value_type(array.dtype)))

    return vector(array, types.intp, word), codegen


@intrinsic
def store(typingctx, array, index, vector):
    """Write the lanes to flat position ``index`` of a contiguous array."""

    def codegen(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1])
        pointer = builder.bitcast(pointer, args[2].type.as_pointer())
        builder.store(args[2], pointer, align=context.get_abi_sizeof(context.get_value_type(array.dtype)))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


@intrinsic
def store_past_cache(typingctx, array, index, vector):
    """`store` for lanes that begin at a cache line and will not be read soon: main memory takes them directly."""

    def codegen(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1])
        pointer = builder.bitcast(pointer, args[2].type.as_pointer())
        size = context.get_abi_sizeof(args[2].type)
        written = builder.store(args[2], pointer, align=min(size, CACHE_LINE))
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


@intrinsic
def peek(typingctx, array, index):
    """The number at flat position ``index`` of a contiguous array."""

    def codegen(context, builder, signature, args):
        return builder.load(_address(context, builder, signature.args[0], args[0], args[1]))

    return array.dtype(array, types.intp), codegen


@intrinsic
def poke(typingctx, array, index, value):
    """Write one number to flat position ``index`` of a contiguous array."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], _address(context, builder, signature.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), codegen


@intrinsic
def move(typingctx, array, to, start, count):
    """Copy ``count`` numbers within a contiguous array, from flat position ``start`` to ``to``; both may overlap."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        source, target = (_address(context, builder, array_type, args[0], args[k]) for k in (2, 1))
        cgutils.raw_memmove(builder, target, source, args[3], context.get_abi_sizeof(source.type.pointee))
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp), codegen


@intrinsic
def erase(typingctx, array, start, count):
    """Set ``count`` numbers of a contiguous array to zero, from flat position ``start`` on."""

    def codegen(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1])
        size = builder.mul(args[2], ir.Constant(args[2].type, context.get_abi_sizeof(pointer.type.pointee)))
        cgutils.memset(builder, pointer, size, 0)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), codegen


@intrinsic
def line_of(typingctx, array):
    """The word of a vector that fills a cache line of this array."""
    word = types.Integer.from_bitwidth(8 * CACHE_LINE // array.dtype.bitwidth, signed=False)
    return word(array), lambda context, builder, signature, args: ir.Constant(ir.IntType(word.bitwidth), 0)


@intrinsic
def narrow(typingctx, array, word):
    """The word of the widest vectors, up to a whole block's, of which eight fill no more than half of the registers."""
    fitting = N_REGISTERS // 16 * REGISTER * 8 // array.dtype.bitwidth  # each has a sixteenth of the registers
    lanes = min(word.bitwidth, max(fitting, min(WORDS)))
    part = types.Integer.from_bitwidth(lanes, signed=False)
    return part(array, word), lambda context, builder, signature, args: ir.Constant(ir.IntType(lanes), 0)


# ---- arithmetic --------------------------------------------------------------------------------------------------


def _splat(builder, vector, value):
    i32 = ir.IntType(32)
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(i32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(i32, vector.count), None))


def _as_vector(builder, vector, value):
    return value if value.type == vector else _splat(builder, vector, value)


def _elementwise(n_args: int, emit: Callable) -> Callable:
    """An intrinsic over vectors and scalars; scalars count for every lane."""

    def typing(args):
        vector = next((a for a in args if isinstance(a, Vector)), None)
        if vector is None:
            return None
        signature = vector(*(a if isinstance(a, Vector) else vector.dtype for a in args))

        def codegen(context, builder, signature, values):
            llvm = context.get_value_type(vector)
            return emit(builder, *(_as_vector(builder, llvm, value) for value in values))

        return signature, codegen

    if n_args == 1:
        return intrinsic(lambda typingctx, a: typing((a,)))
    if n_args == 2:
        return intrinsic(lambda typingctx, a, b: typing((a, b)))
    return intrinsic(lambda typingctx, a, b, c: typing((a, b, c)))


def _llvm(name: str) -> Callable:
    """Call LLVM's elementwise function of that name."""

    def emit(builder, *args):
        vector = args[0].type
        bits = {"float": 32, "double": 64}[str(vector.element)]
        signature = ir.FunctionType(vector, [a.type for a in args])
        function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.v{vector.count}f{bits}")
        return builder.call(function, args)

    return emit


_add = _elementwise(2, lambda builder, a, b: builder.fadd(a, b))
_sub = _elementwise(2, lambda builder, a, b: builder.fsub(a, b))
_mul = _elementwise(2, lambda builder, a, b: builder.fmul(a, b))
_div = _elementwise(2, lambda builder, a, b: builder.fdiv(a, b))
_neg = _elementwise(1, lambda builder, a: builder.fneg(a))
multiply_add = _elementwise(3, _llvm("fmuladd"))
"""a * b + c, rounded once where the machine can"""
absolute = _elementwise(1, _llvm("fabs"))
nearest = _elementwise(1, _llvm("nearbyint"))
"""the nearest whole number"""


@overload(operator.add)
def _overload_add(a, b):
    if isinstance(a, Vector) or isinstance(b, Vector):
        return lambda a, b: _add(a, b)


@overload(operator.sub)
def _overload_sub(a, b):
    if isinstance(a, Vector) or isinstance(b, Vector):
        return lambda a, b: _sub(a, b)


@overload(operator.mul)
def _overload_mul(a, b):
    if isinstance(a, Vector) or isinstance(b, Vector):
        return lambda a, b: _mul(a, b)


@overload(operator.truediv)
def _overload_div(a, b):
    if isinstance(a, Vector) or isinstance(b, Vector):
        return lambda a, b: _div(a, b)


@overload(operator.neg)
def _overload_neg(a):
    if isinstance(a, Vector):
        return lambda a: _neg(a)


@intrinsic
def spread(typingctx, value, word):
    """The same number in every lane."""
    vector = Vector(value, word.bitwidth)

    def codegen(context, builder, signature, args):
        return _splat(builder, context.get_value_type(vector), args[0])

    return vector(value, word), codegen


@intrinsic
def power_of_two(typingctx, exponent):
    """2 to a vector of whole numbers within the range of normal numbers, by writing the exponent's bits."""
    bits, mantissa, bias = {32: (32, 23, 127), 64: (64, 52, 1023)}[exponent.dtype.bitwidth]

    def codegen(context, builder, signature, args):
        integer = ir.VectorType(ir.IntType(bits), exponent.lanes)

        def constant(value):
            return ir.Constant(integer, [ir.Constant(ir.IntType(bits), value)] * exponent.lanes)

        biased = builder.add(builder.fptosi(args[0], integer), constant(bias))
        return builder.bitcast(builder.shl(biased, constant(mantissa)), args[0].type)

    return exponent(exponent), codegen


@intrinsic
def total(typingctx, vector):
    """Sum over the lanes, halves first: the order is fixed."""

    def codegen(context, builder, signature, args):
        part, lanes = args[0], vector.lanes
        i32 = ir.IntType(32)
        while lanes > 1:
            lanes //= 2
            chosen = ir.VectorType(i32, lanes)
            low = ir.Constant(chosen, [ir.Constant(i32, k) for k in range(lanes)])
            high = ir.Constant(chosen, [ir.Constant(i32, lanes + k) for k in range(lanes)])
            part = builder.fadd(builder.shuffle_vector(part, part, low), builder.shuffle_vector(part, part, high))
        return builder.extract_element(part, ir.Constant(i32, 0))

    return vector.dtype(vector), codegen


def _tile(array, word) -> int:
    """Side of the squares in which matrices of this type are transposed."""
    return min(word.bitwidth, 8 * CACHE_LINE // array.dtype.bitwidth)


@intrinsic
def tile(typingctx, array, word):
    """Side of the squares that `transpose` takes, a constant for the compiler."""
    side = _tile(array, word)
    return types.intp(array, word), lambda context, builder, signature, args: ir.Constant(ir.IntType(64), side)


def _transposed(builder, rows):
    """A square of vectors, by as many perfect shuffles of its rows as its side has bits."""
    side, i32 = len(rows), ir.IntType(32)
    halves = [
        ir.Constant(
            ir.VectorType(i32, side), [ir.Constant(i32, (k // 2) + first + (k % 2) * side) for k in range(side)]
        )
        for first in (0, side // 2)
    ]
    for _ in range(side.bit_length() - 1):
        pairs = [(rows[k], rows[k + side // 2]) for k in range(side // 2)]
        rows = [builder.shuffle_vector(*pair, half) for pair in pairs for half in halves]
    return rows


def _transpose(add: bool) -> Callable:
    def typing(typingctx, source, start, stride, target, to, target_stride, word):
        side = _tile(source, word)

        def codegen(context, builder, signature, args):
            element = context.get_value_type(source.dtype)
            vector, align = ir.VectorType(element, side), context.get_abi_sizeof(element)

            def rows(array, first, step):
                index = args[first]
                for _ in range(side):
                    pointer = _address(context, builder, signature.args[array], args[array], index)
                    yield builder.bitcast(pointer, vector.as_pointer())
                    index = builder.add(index, args[step])

            columns = _transposed(builder, [builder.load(pointer, align=align) for pointer in rows(0, 1, 2)])
            for pointer, column in zip(rows(3, 4, 5), columns, strict=True):
                if add:
                    column = builder.fadd(builder.load(pointer, align=align), column)
                builder.store(column, pointer, align=align)
            return context.get_dummy_value()

        place = types.intp
        return types.void(source, place, place, target, place, place, word), codegen

    return intrinsic(typing)


transpose = _transpose(add=False)
"""target[to + i * target_stride + k] <- source[start + k * stride + i] for i and k below `tile`"""
transpose_add = _transpose(add=True)
"""the same with +="""


# ---- masks -------------------------------------------------------------------------------------------------------


def _compare(symbol: str, ordered: bool = True) -> Callable:
    def typing(typingctx, a, b):
        vector = a if isinstance(a, Vector) else b
        word = types.Integer.from_bitwidth(vector.lanes, signed=False)

        def codegen(context, builder, signature, values):
            llvm = context.get_value_type(vector)
            compare = builder.fcmp_ordered if ordered else builder.fcmp_unordered
            bits = compare(symbol, *(_as_vector(builder, llvm, value) for value in values))
            return builder.bitcast(bits, ir.IntType(vector.lanes))

        return word(*(x if isinstance(x, Vector) else vector.dtype for x in (a, b))), codegen

    return intrinsic(typing)


greater = _compare(">")
"""mask of the lanes in which a > b"""
differs = _compare("!=", ordered=False)
"""mask of the lanes in which a != b"""


@intrinsic
def where(typingctx, mask, a, b):
    """a in the lanes of the mask, b in the others; at least one of them a vector."""
    vector = a if isinstance(a, Vector) else b

    def codegen(context, builder, signature, args):
        llvm, bits = context.get_value_type(vector), ir.IntType(vector.lanes)
        word = args[0]
        word = builder.trunc(word, bits) if word.type.width > bits.width else builder.zext(word, bits)
        chosen = builder.bitcast(word, ir.VectorType(ir.IntType(1), vector.lanes))
        return builder.select(chosen, *(_as_vector(builder, llvm, value) for value in args[1:]))

    return vector(mask, *(x if isinstance(x, Vector) else vector.dtype for x in (a, b))), codegen


def _of_mask(result: types.Type, emit: Callable) -> Callable:
    def typing(typingctx, mask):
        def codegen(context, builder, signature, args):
            return emit(builder, args[0])

        return result(types.uint64), codegen

    return intrinsic(typing)


first_lane = _of_mask(types.int64, lambda builder, m: builder.cttz(m, ir.Constant(ir.IntType(1), 1)))
"""number of the lowest lane in a mask that is not empty"""
without_first = _of_mask(types.uint64, lambda builder, m: builder.and_(m, builder.sub(m, ir.Constant(m.type, 1))))
"""the mask without its lowest lane"""
count = _of_mask(types.int64, lambda builder, m: builder.ctpop(m))
"""how many lanes are in the mask"""


@intrinsic
def width(typingctx, word):
    """Lanes of a block, a constant for the compiler."""

    def codegen(context, builder, signature, args):
        return ir.Constant(ir.IntType(types.intp.bitwidth), word.bitwidth)

    return types.intp(word), codegen


@intrinsic
def pack_square(typingctx, samples, start, stride, size, masks, to, columns):
    """masks[to + i] <- bytes samples[start + lane * stride + i], 0 or 1, for the first ``size`` lanes of a mask.

    i runs over as many columns as the type of ``columns`` has bits.  Returns the columns in which a byte was larger.
    """
    n_columns, lanes = columns.bitwidth, masks.dtype.bitwidth
    result = types.Integer.from_bitwidth(n_columns, signed=False)

    def codegen(context, builder, signature, args):
        def constant(vector, value):
            return ir.Constant(vector, [value] * n_columns)

        i8 = ir.VectorType(ir.IntType(8), n_columns)
        wide = ir.VectorType(ir.IntType(lanes), n_columns)
        index, rows = args[1], []
        for lane in range(lanes):
            pointer = _address(context, builder, signature.args[0], args[0], index)
            row = builder.load(builder.bitcast(pointer, i8.as_pointer()), align=1)
            used = builder.icmp_signed("<", ir.Constant(args[3].type, lane), args[3])
            rows.append(builder.select(used, row, constant(i8, 0)))
            further = builder.icmp_signed("<", ir.Constant(args[3].type, lane + 1), args[3])
            index = builder.select(further, builder.add(index, args[2]), index)
        seen, mask = rows[0], constant(wide, 0)
        for row in rows[1:]:
            seen = builder.or_(seen, row)
        for first in range(0, lanes, 8):
            byte = rows[first + 7]
            for row in reversed(rows[first : first + 7]):
                byte = builder.or_(builder.add(byte, byte), row)
            byte = builder.zext(byte, wide) if lanes > 8 else byte
            mask = builder.or_(mask, builder.shl(byte, constant(wide, first)))
        pointer = _address(context, builder, signature.args[4], args[4], args[5])
        builder.store(mask, builder.bitcast(pointer, wide.as_pointer()), align=lanes // 8)
        return builder.bitcast(builder.icmp_unsigned(">", seen, constant(i8, 1)), ir.IntType(n_columns))

    return result(samples, types.intp, types.intp, types.intp, masks, types.intp, columns), codegen


# ---- denormal numbers --------------------------------------------------------------------------------------------

_X86 = platform.machine().lower() in ("x86_64", "amd64")
_FLUSH = 0x8040
"""MXCSR: results (bit 15) and operands (bit 6) below the smallest normal number count as zero"""


def _control_register(builder, name: str, pointer) -> None:
    byte_pointer = ir.IntType(8).as_pointer()
    function_type = ir.FunctionType(ir.VoidType(), [byte_pointer])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(pointer, byte_pointer)])


@intrinsic
def flush_denormals(typingctx):
    """From here on this thread takes denormal numbers for zero; returns the mode before.  Nothing off x86.

    Gradients that have all but faded become denormal, and every operation on one costs over a hundred cycles.
    """

    def codegen(context, builder, signature, args):
        mode = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(32), 0))
        if _X86:
            _control_register(builder, "stmxcsr", mode)
        before = builder.load(mode)
        if _X86:
            builder.store(builder.or_(before, ir.Constant(ir.IntType(32), _FLUSH)), mode)
            _control_register(builder, "ldmxcsr", mode)
        return before

    return types.int32(), codegen


@intrinsic
def restore_denormals(typingctx, mode):
    """Go back to the mode that `flush_denormals` returned."""

    def codegen(context, builder, signature, args):
        if _X86:
            _control_register(builder, "ldmxcsr", cgutils.alloca_once_value(builder, args[0]))
        return context.get_dummy_value()

    return types.void(types.int32), codegen
