/* SPDX-License-Identifier: MIT */
#include "resp/resp_put.h"

#define ONE(a)             \
    {                      \
        {a, '\r', '\n'}, 3 \
    }
#define TWO(a, b)             \
    {                         \
        {a, b, '\r', '\n'}, 4 \
    }
#define THREE(a, b, c)           \
    {                            \
        {a, b, c, '\r', '\n'}, 5 \
    }
#define ONES                                                                                  \
    ONE('0'), ONE('1'), ONE('2'), ONE('3'), ONE('4'), ONE('5'), ONE('6'), ONE('7'), ONE('8'), \
        ONE('9')
#define TENS(a)                                                                                \
    TWO(a, '0'), TWO(a, '1'), TWO(a, '2'), TWO(a, '3'), TWO(a, '4'), TWO(a, '5'), TWO(a, '6'), \
        TWO(a, '7'), TWO(a, '8'), TWO(a, '9')
#define THREES(a, b)                                                                          \
    THREE(a, b, '0'), THREE(a, b, '1'), THREE(a, b, '2'), THREE(a, b, '3'), THREE(a, b, '4'), \
        THREE(a, b, '5'), THREE(a, b, '6'), THREE(a, b, '7'), THREE(a, b, '8'), THREE(a, b, '9')
#define HUNDREDS(a)                                                                 \
    THREES(a, '0'), THREES(a, '1'), THREES(a, '2'), THREES(a, '3'), THREES(a, '4'), \
        THREES(a, '5'), THREES(a, '6'), THREES(a, '7'), THREES(a, '8'), THREES(a, '9')

const struct resp_line resp_lines[RESP_LINES] = {
    ONES,          TENS('1'),     TENS('2'),     TENS('3'),     TENS('4'),
    TENS('5'),     TENS('6'),     TENS('7'),     TENS('8'),     TENS('9'),
    HUNDREDS('1'), HUNDREDS('2'), HUNDREDS('3'), HUNDREDS('4'), HUNDREDS('5'),
    HUNDREDS('6'), HUNDREDS('7'), HUNDREDS('8'), HUNDREDS('9'),
};
