"""Vouchers between the world and the engine: admitted, settled, registered, handed on."""
