# A pytest run for docs/ci/conftest.py to guard.
import pytest
import shop


@pytest.mark.parametrize("number", range(5))
def test_a_visit_has_its_number(number):
    assert shop.visit(number) == number
