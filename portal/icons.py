"""Line icons, 24 by 24, drawn for Onward; the body of an svg element each."""

ICONS = {
    "devices": '<rect x="4" y="4" width="16" height="12" rx="2"/><path d="M9 20h6M12 16v4"/>',
    "add": '<path d="M4 8V5a1 1 0 0 1 1-1h3M16 4h3a1 1 0 0 1 1 1v3"/>'
    '<path d="M20 16v3a1 1 0 0 1-1 1h-3M8 20H5a1 1 0 0 1-1-1v-3"/>'
    '<path d="M12 9v6M9 12h6"/>',
    "vouchers": '<path d="M18 11V8l-4-4H6v16h6"/><path d="M9 9h4M9 13h3"/>'
    '<circle cx="17" cy="16" r="3"/><path d="M15.5 18.6V22l1.5-1 1.5 1v-3.4"/>',
    "plans": '<path d="M6 4h9l3 3v13H6z"/><path d="M9 11h6M9 15h6"/>',
    "settings": '<circle cx="12" cy="12" r="3"/><path d="M12 3v3M12 18v3M3 12h3M18 12h3"/>'
    '<path d="M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M18.4 5.6l-2.1 2.1M7.7 16.3l-2.1 2.1"/>',
    "person": '<circle cx="12" cy="8" r="4"/><path d="M4 20c1.5-4 4.5-6 8-6s6.5 2 8 6"/>',
}
