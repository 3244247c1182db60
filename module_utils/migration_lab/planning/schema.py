# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads YAML and validates data against the JSON schemas below scenarios/schema/. Needs PyYAML and jsonschema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from ..model.errors import LabError

# libyaml's reader takes an eighth of the time; a PyYAML that was built without libyaml does not have it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """The data of a YAML file.

    :raises LabError: when the file cannot be read or is not YAML.
    """
    try:
        return yaml.load(path.read_bytes(), Loader=_LOADER)
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}); restore it") from error
    except yaml.YAMLError as error:
        raise LabError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def validate(data: Any, schema: Path | Mapping[str, Any], where: str) -> None:
    """Validate data against a JSON schema or the file that has it.

    :param where: where the data comes from, for the error: a file or a variable.
    :raises LabError: naming the entry and field that is wrong.
    """
    rules = json.loads(schema.read_text()) if isinstance(schema, Path) else schema
    error = best_match(Draft202012Validator(rules).iter_errors(data))
    if error is not None:
        raise LabError(f"{where}: {_place(error, data)}{error.message}")


def _place(error: ValidationError, data: Any) -> str:
    """Where in the data an error is, entries called by their names rather than their positions."""
    parts, here = [], data
    for key in error.absolute_path:
        here = here[key]
        named = isinstance(key, int) and isinstance(here, Mapping) and here.get("name")
        parts.append(f"'{here['name']}'" if named else f"entry {key + 1}" if isinstance(key, int) else str(key))
    return f"{', '.join(parts)}: " if parts else ""
