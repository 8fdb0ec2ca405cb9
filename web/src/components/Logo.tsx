/** The mark: a message carried by a wave. */
export function Logo({ size = 40 }: { size?: number }) {
  return (
    <svg class="logo" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path class="logo-ground" d="M10 2h12a8 8 0 0 1 8 8v9a8 8 0 0 1-8 8h-7.6l-6 3.7A.9.9 0 0 1 7 29.9V26.4A8 8 0 0 1 2 19v-9a8 8 0 0 1 8-8z" />
      <path class="logo-wave" d="M7 12.4c2.25-2.4 4.5-2.4 6.75 0s4.5 2.4 6.75 0 3.4-2.4 4.5-1.5M7 18.4c2.25-2.4 4.5-2.4 6.75 0s4.5 2.4 6.75 0 3.4-2.4 4.5-1.5" />
    </svg>
  );
}
