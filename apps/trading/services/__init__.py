"""What the engine does: `booking` opens positions, `dca_booking` adds, `sale_booking` sells, `gate` says who may."""
