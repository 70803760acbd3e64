// Conversions of every value. The structure Numbers comes before this text.

KERNEL(convert, Numbers, 256) {
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < a.count; i += gridDim.x * blockDim.x) {
        u32 x = a.x[i], y = 0;
        switch (a.how) {
            case 0: y = from_float<bf16>(__uint_as_float(x)).bits; break;
            case 1: y = from_float<f16>(__uint_as_float(x)).bits; break;
            case 2: y = __float_as_uint(to_float(bf16{(u16)x})); break;
            case 3: y = __float_as_uint(to_float(f16{(u16)x})); break;
            case 4: y = to_tf32(__uint_as_float(x)); break;
            default: y = multiply_high(x, 0x9e3779b9); break;
        }
        a.y[i] = y;
    }
}
