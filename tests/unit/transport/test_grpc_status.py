"""gRPC's vocabulary: escaping of texts, timeouts, binary metadata."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.transport.grpc_status import (
    decode_binary,
    encode_binary,
    format_timeout,
    is_grpc,
    parse_timeout,
    percent_decode,
    percent_encode,
    status_of_http,
    status_of_reset,
)


@given(st.text())
def test_every_text_survives_percent_encoding_in_printable_ascii(text: str) -> None:
    encoded = percent_encode(text)
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert percent_decode(encoded) == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"100%", "100%"),
        (b"%", "%"),
        (b"%4", "%4"),
        (b"%zz%41", "%zzA"),
        (b"%e2%98%83", "☃"),
        (b"%ff", "\ufffd"),
        (b"% 41", "% 41"),
    ],
)
def test_odd_percent_signs_stay_as_they_are(value: bytes, text: str) -> None:
    assert percent_decode(value) == text


@given(st.binary())
def test_any_bytes_decode_to_some_text(value: bytes) -> None:
    assert isinstance(percent_decode(value), str)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"5S", 5.0),
        (b"100m", 0.1),
        (b"250000u", 0.25),
        (b"99999999n", 0.099999999),
        (b"00000001S", 1.0),
    ],
)
def test_timeouts_of_every_unit(value: bytes, seconds: float) -> None:
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", 'transport: timeout string is too short: ""'),
        (b"S", 'transport: timeout string is too short: "S"'),
        (b"123456789S", 'transport: timeout string is too long: "123456789S"'),
        (b"12", 'transport: timeout unit is not recognized: "12"'),
        (b"-1S", 'strconv.ParseUint: parsing "-1": invalid syntax'),
        (b"+1S", 'strconv.ParseUint: parsing "+1": invalid syntax'),
        (b"1_0S", 'strconv.ParseUint: parsing "1_0": invalid syntax'),
        (b" 1S", 'strconv.ParseUint: parsing " 1": invalid syntax'),
    ],
)
def test_bad_timeouts_have_grpc_gos_text(value: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_timeout(value)


@given(st.floats(1e-6, 1e9))
def test_a_timeout_is_never_sent_shorter_than_asked_nor_much_longer(seconds: float) -> None:
    value = format_timeout(seconds)
    assert len(value) <= 9
    assert seconds <= parse_timeout(value) * (1 + 1e-12) <= seconds * 1.0001 + 1.1e-6


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_timeout_that_is_over_is_sent_as_zero(seconds: float) -> None:
    assert parse_timeout(format_timeout(seconds)) == 0.0


@given(st.binary())
def test_binary_values_survive_with_and_without_padding(value: bytes) -> None:
    encoded = encode_binary(value)
    assert b"=" not in encoded
    assert decode_binary(encoded) == value
    assert decode_binary(encoded + b"=" * (-len(encoded) % 4)) == value


@given(st.binary())
def test_any_bytes_are_a_binary_value_or_refused(value: bytes) -> None:
    try:
        decode_binary(value)
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("content_type", "yes"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc;x=y", True),
        (b"application/grpcish", False),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_what_counts_as_grpc(content_type: bytes, yes: bool) -> None:
    assert is_grpc(content_type) is yes


def test_statuses_of_plain_http_and_of_resets_follow_the_protocol_page() -> None:
    assert [status_of_http(n) for n in (400, 401, 403, 404, 429, 502, 503, 504, 500)] == [
        *(13, 16, 7, 12, 14, 14, 14, 14, 2)
    ]
    assert status_of_reset(8) == (1, "CANCEL")
    assert status_of_reset(7) == (14, "REFUSED_STREAM")
    assert status_of_reset(11) == (8, "ENHANCE_YOUR_CALM")
    assert status_of_reset(12) == (7, "INADEQUATE_SECURITY")
    assert status_of_reset(99) == (13, "99")
