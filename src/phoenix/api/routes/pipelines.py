"""/api/v1/pipelines: the catalog, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from phoenix.pipelines import catalog

router = APIRouter(prefix="/api/v1/pipelines", tags=["pipelines"])


@router.get("")
async def list_pipelines() -> dict[str, Any]:
    """Every pipeline of the catalog."""
    return {"items": [asdict(catalog.load(name)) for name in catalog.names()]}


@router.get("/{name}")
async def show(name: str) -> dict[str, Any]:
    """One pipeline with its parameters."""
    return asdict(catalog.load(name))
