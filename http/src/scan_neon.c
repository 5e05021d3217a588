/* The scans 16 bytes at a time on ARM64, where NEON is always there. */
#include "scan.h"
#include "scan_class.h"

#include <arm_neon.h>

static const uint8_t TOKEN[16] = { COLUMNS(IS_TOKEN) };
static const uint8_t TARGET[16] = { COLUMNS(IS_TARGET) };
static const uint8_t ROWS[16] = { ROW_BITS };

/* Four bits for each of 16 bytes, in order: all set where `lanes` is 0xFF. */
static inline uint64_t lane_bits(uint8x16_t lanes)
{
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(lanes), 4)), 0);
}

/* `rest` scans the last bytes. */
static inline size_t scan_class(const char *p, const char *end, uint8x16_t columns,
                                http_scan_fn *rest)
{
    const uint8x16_t rows = vld1q_u8(ROWS);
    const char *at = p;
    for (; end - at >= 16; at += 16) {
        const uint8x16_t bytes = vld1q_u8((const uint8_t *)at);
        const uint8x16_t column = vqtbl1q_u8(columns, vandq_u8(bytes, vdupq_n_u8(0x0F)));
        const uint8x16_t row = vqtbl1q_u8(rows, vshrq_n_u8(bytes, 4)); /* zero past ASCII */
        const uint64_t others = ~lane_bits(vtstq_u8(column, row));
        if (others)
            return (size_t)(at - p) + (size_t)__builtin_ctzll(others) / 4;
    }
    return (size_t)(at - p) + rest(at, end);
}

static size_t scan_token(const char *p, const char *end)
{
    return scan_class(p, end, vld1q_u8(TOKEN), HTTP_SCAN_SCALAR.token);
}

static size_t scan_target(const char *p, const char *end)
{
    return scan_class(p, end, vld1q_u8(TARGET), HTTP_SCAN_SCALAR.target);
}

static size_t scan_value(const char *p, const char *end)
{
    const char *at = p;
    for (; end - at >= 16; at += 16) {
        const uint8x16_t bytes = vld1q_u8((const uint8_t *)at);
        const uint8x16_t control =
            vbicq_u8(vcltq_u8(bytes, vdupq_n_u8(0x20)), vceqq_u8(bytes, vdupq_n_u8('\t')));
        const uint64_t others = lane_bits(vorrq_u8(control, vceqq_u8(bytes, vdupq_n_u8(0x7F))));
        if (others)
            return (size_t)(at - p) + (size_t)__builtin_ctzll(others) / 4;
    }
    return (size_t)(at - p) + HTTP_SCAN_SCALAR.value(at, end);
}

const http_scan HTTP_SCAN_NEON = { "neon", scan_token, scan_value, scan_target };
