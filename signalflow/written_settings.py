"""Mistakes that the value of any setting can have, whatever it means. They are found before the value is read."""

from typing import Any

from pydantic import SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

_NOTHING = (None, "", SecretStr(""))


class WrittenSettings(BaseSettings):
    """Refuses an empty value where only a value has a meaning, and a value that ends with half a line end of Windows.

    Both come from files of settings: `NAME=$UNSET`, and a file that an editor on Windows has saved. Taken as they are,
    they would be a strange directory or address, and the errors of those would not show the cause.
    """

    @field_validator("*", mode="before")
    @classmethod
    def _is_written_right(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str) or info.field_name is None:
            return value
        if value.endswith("\r"):
            raise ValueError("ends with a carriage return: save the file that sets it with Unix line ends")
        if not value and cls.model_fields[info.field_name].default not in _NOTHING:
            raise ValueError("is empty: give a value, or unset it for the default")
        return value
