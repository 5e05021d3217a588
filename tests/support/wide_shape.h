/* A shape with every kind of field in every arity, for tests and fuzz targets. */
#ifndef TESTS_SUPPORT_WIDE_SHAPE_H
#define TESTS_SUPPORT_WIDE_SHAPE_H

#include "core/shape.h"

#define POINT_FIELDS(F) \
    F(x, int4)          \
    F(label, opt_text, .nullable = true)
SHAPE(point, POINT_FIELDS)

/* x, ox (may be absent or null) and lx (many). */
// clang-format off
#define WIDE_FIELDS(F)                        \
    F(b, bool)                                \
    F(ob, opt_bool, .nullable = true)         \
    F(lb, bool_list)                          \
    F(i2, int2)                               \
    F(oi2, opt_int2, .nullable = true)        \
    F(li2, int2_list)                         \
    F(i4, int4)                               \
    F(oi4, opt_int4, .nullable = true)        \
    F(li4, int4_list)                         \
    F(i8, int8)                               \
    F(oi8, opt_int8, .nullable = true)        \
    F(li8, int8_list)                         \
    F(f8, float8)                             \
    F(of8, opt_float8, .nullable = true)      \
    F(lf8, float8_list)                       \
    F(t, text)                                \
    F(ot, opt_text, .nullable = true)         \
    F(lt, text_list)                          \
    F(by, bytea)                              \
    F(oby, opt_bytea, .nullable = true)       \
    F(lby, bytea_list)                        \
    F(ts, timestamptz)                        \
    F(ots, opt_timestamptz, .nullable = true) \
    F(lts, timestamptz_list)                  \
    F(u, uuid)                                \
    F(ou, opt_uuid, .nullable = true)         \
    F(lu, uuid_list)                          \
    F(j, jsonb)                               \
    F(oj, opt_jsonb, .nullable = true)        \
    F(lj, jsonb_list)                         \
    F(p, point)                               \
    F(op, opt_point, .nullable = true)        \
    F(lp, point_list)
// clang-format on
SHAPE(wide, WIDE_FIELDS)

/* A document of it, as json_write_shape writes it. */
// clang-format off
#define WIDE_DOCUMENT                                                                        \
    "{\"b\":true,\"ob\":false,\"lb\":[true,false],"                                          \
    "\"i2\":-32768,\"oi2\":32767,\"li2\":[1,-1],"                                            \
    "\"i4\":-2147483648,\"oi4\":2147483647,\"li4\":[],"                                      \
    "\"i8\":-9223372036854775808,\"oi8\":9223372036854775807,\"li8\":[0],"                   \
    "\"f8\":-0.1,\"of8\":1e300,\"lf8\":[0.5,-0,123456789],"                                  \
    "\"t\":\"gr\xC3\xBC\xC3\x9F \\\"dich\\\"\\n\",\"ot\":\"\","                              \
    "\"lt\":[\"a\",\"\xF0\x9F\x98\x80\"],"                                                   \
    "\"by\":\"AAEC\",\"oby\":\"\",\"lby\":[\"/w==\",\"+/8=\"],"                              \
    "\"ts\":\"2026-01-31T12:00:00Z\",\"ots\":\"1999-12-31T23:59:59.000001Z\","               \
    "\"lts\":[\"infinity\"],"                                                                \
    "\"u\":\"00112233-4455-6677-8899-aabbccddeeff\","                                        \
    "\"ou\":\"ffffffff-ffff-ffff-ffff-ffffffffffff\","                                       \
    "\"lu\":[\"00000000-0000-0000-0000-000000000000\"],"                                     \
    "\"j\":{\"a\":[1, 2]},\"oj\":\"x\",\"lj\":[null,1e5,{}],"                                \
    "\"p\":{\"x\":1,\"label\":\"one\"},\"op\":{\"x\":2,\"label\":null},"                     \
    "\"lp\":[{\"x\":3,\"label\":\"\"},{\"x\":4,\"label\":null}]}"
// clang-format on

#endif
