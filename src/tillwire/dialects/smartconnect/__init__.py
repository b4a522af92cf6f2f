"""SmartConnect (source 002): registers that are paired with terminals, and pay through a cloud."""
